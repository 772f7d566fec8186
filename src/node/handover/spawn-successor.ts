/**
 * Starts the successor on behalf of `portmesh upgrade`. The running process starts it and not the command: so it has
 * the same control group (a service manager counts it to the service and accepts its MAINPID), environment, working
 * directory, limits, and standard output and error, whoever asks and from which terminal. Under a service manager it
 * is that one's child from the start, as its main process has to be; otherwise it is init's when this process has ended.
 */
import { type Clock, pause } from "../../sys/clock.ts";
import { startOrphan } from "./orphan.ts";

const LOOK_MS = 20;

/** How the running process was started. */
export interface StartCommand {
  /** The executable, or the runtime with the source. */
  readonly program: readonly string[];
  /** "run" and what follows. */
  readonly args: readonly string[];
}

export interface SuccessorProcess {
  readonly pid: number;
  /** Resolves with how it ended, in words. */
  readonly ended: Promise<string>;
  kill(): void;
}

/** @param file another executable; null: the same. Throws the error of the system. */
export async function spawnSuccessor(
  { program, args }: StartCommand,
  file: string | null,
  adminSocket: string,
  clock: Clock,
): Promise<SuccessorProcess> {
  const others = args.filter((arg) => !arg.startsWith("--take-over"));
  const command = [...(file === null ? program : [file]), ...others, `--take-over=${adminSocket}`];
  if (!process.env.NOTIFY_SOCKET) return spawnChild(command);
  const pid = await startOrphan(program, command);
  return { pid, ended: end(pid, clock), kill: () => isSignalled(pid, "SIGKILL") };
}

function spawnChild(command: readonly string[]): SuccessorProcess {
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    env: process.env,
  });
  child.unref();
  const ended = child.exited.then((code) =>
    child.signalCode === null ? `it ended with exit code ${code}` : `it was ended by ${child.signalCode}`,
  );
  return { pid: child.pid, ended, kill: () => child.kill("SIGKILL") };
}

/** Of a process that is not a child: its exit code is the service manager's. */
async function end(pid: number, clock: Clock): Promise<string> {
  while (isSignalled(pid, 0)) await pause(clock, LOOK_MS);
  return "it has ended";
}

/** false: there is no such process. */
function isSignalled(pid: number, signal: "SIGKILL" | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
