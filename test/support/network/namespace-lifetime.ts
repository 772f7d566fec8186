/**
 * Making network namespaces and making sure that they go: with their owner's close(), with its process through a guard
 * in a process of its own, or, if that was killed too, with the next run that calls removeStale().
 */

import { findProgram } from "../os/require-program.ts";
import { isOwnerGone, parseName } from "./namespace-names.ts";

/** `$1` is ip, the rest namespaces. Its input ends with the process that holds the other end. */
const GUARD = `trap "" INT TERM HUP
ip="$1"
shift
cat > /dev/null
for name in "$@"; do "$ip" netns pids "$name" | xargs -r kill -9; done
for name in "$@"; do "$ip" netns delete "$name"; done`;

/** Removes the namespaces when this process ends, however it does, or when its `stdin` is ended. */
export function startGuard(names: readonly string[]): Bun.Subprocess<"pipe", "ignore", "ignore"> {
  const guard = Bun.spawn(["/bin/sh", "-c", GUARD, "guard", findProgram("ip")!, ...names], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  return guard;
}

/** Those whose makers are gone. */
export function removeStale(): void {
  removeNamespaces(
    listNamespaces().filter((name) => {
      const parsed = parseName(name);
      return parsed !== null && isOwnerGone(parsed);
    }),
  );
}

/** What runs in them is killed first: a namespace lives as long as a process in it. */
export function removeNamespaces(names: readonly string[]): void {
  const existing = listNamespaces().filter((name) => names.includes(name));
  for (const name of existing) {
    for (const pid of runIp(["netns", "pids", name], { mayFail: true }).split("\n").filter(Boolean)) {
      kill(Number(pid));
    }
  }
  for (const name of existing) runIp(["netns", "delete", name], { mayFail: true });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}

/** Those that tests have made, this one's and others'. */
export function listNamespaces(): string[] {
  const lines = runIp(["netns", "list"]).split("\n");
  return lines.map((line) => line.split(" ")[0]!).filter((name) => parseName(name) !== null);
}

export function runBatch(namespace: string, commands: readonly string[]): void {
  runIp(["-n", namespace, "-batch", "-"], { input: commands.join("\n") });
}

export function runIp(args: readonly string[], { input = "", mayFail = false } = {}): string {
  const run = Bun.spawnSync([findProgram("ip")!, ...args], { stdin: Buffer.from(input), stderr: "pipe" });
  if (run.exitCode === 0 || mayFail) return run.stdout.toString();
  throw new Error(`ip ${args.join(" ")} ended with ${run.exitCode}: ${run.stderr}\n${input}`);
}
