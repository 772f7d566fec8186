/**
 * A process whose parent is the service manager, although this one starts it: a process in between starts it and ends.
 *
 * systemd waits for the end of a main process only when that is a child of its own. It sends SIGKILL to any other
 * right after SIGTERM, and learns of a crash only when the parent has ended too. [systemd v252, unit_kill_context(),
 * service_set_main_pid()]
 */
import { writeSync } from "node:fs";

/** The command of the process in between; main.ts runs it. */
export const ORPHAN_COMMAND = "start-orphan";

/** Where that process finds the standard output of the one that started it: its own carries the reply. */
const OUTPUT_FD = 3;
/** This executable, even when its file has been replaced. */
const SELF = "/proc/self/exe";

type Reply = { readonly pid: number } | { readonly error: string };

/** @param program this one: the executable, or the runtime with the source. Throws the error of the system. */
export async function startOrphan(program: readonly string[], command: readonly string[]): Promise<number> {
  const between = Bun.spawn([SELF, ...program.slice(1), ORPHAN_COMMAND, ...command], {
    stdio: ["ignore", "pipe", "inherit", 1],
    env: process.env,
  });
  const text = await between.stdout.text();
  await between.exited;
  const reply: Reply = text === "" ? { error: "the process in between failed" } : JSON.parse(text);
  if ("error" in reply) throw new Error(reply.error);
  return reply.pid;
}

/** In the process in between. */
export function runOrphanCommand(command: readonly string[]): void {
  writeSync(1, JSON.stringify(start(command)));
}

function start(command: readonly string[]): Reply {
  try {
    const child = Bun.spawn([...command], { stdio: ["ignore", OUTPUT_FD, "inherit"], env: process.env });
    child.unref();
    return { pid: child.pid };
  } catch (error) {
    return { error: (error as Error).message };
  }
}
