/** Stops one thread of another process, as a hung one, until it is disposed of: ptrace(2). */
import { dlopen } from "bun:ffi";
import { readdirSync, readFileSync } from "node:fs";

const PTRACE_ATTACH = 16;
const PTRACE_DETACH = 17;
const WALL = 0x40000000;

/**
 * @param name as in /proc/PID/task/TID/comm
 * @param which of that name, in the order of their start
 */
export function stopThread(pid: number, name: string, which: "first" | "last" = "first"): Disposable {
  const named = readdirSync(`/proc/${pid}/task`)
    .filter((each) => readFileSync(`/proc/${pid}/task/${each}/comm`, "utf8").trim() === name)
    .map(Number)
    .sort((one, other) => one - other);
  const tid = named.at(which === "first" ? 0 : -1)!;
  const { symbols } = dlopen("libc.so.6", {
    ptrace: { args: ["i64", "i64", "ptr", "ptr"], returns: "i64" },
    waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  });
  if (Number(symbols.ptrace(PTRACE_ATTACH, tid, null, null)) !== 0)
    throw new Error(`cannot stop a thread "${name}" of process ${pid}`);
  symbols.waitpid(tid, null, WALL); // it has stopped
  return { [Symbol.dispose]: () => symbols.ptrace(PTRACE_DETACH, tid, null, null) };
}
