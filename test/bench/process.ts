/**
 * Child processes of the bench: started with a clean environment, measured through /proc, ended together.
 * Nothing that was not started here is ever signalled.
 */
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { delimiter } from "node:path";

/** Debian keeps daemons in sbin, which is not in every user's PATH. */
const PATH = [process.env.PATH, "/usr/local/sbin", "/usr/sbin", "/sbin"].join(delimiter);
/** Linux reports CPU times to user space in 1/100 s on every architecture (USER_HZ). */
const TICKS_PER_SECOND = 100;
const STOP_GRACE_MS = 3000;
/** A tool that has not ended this long after its nominal time hangs. */
const TOOL_GRACE_MS = 20_000;
const POLL_MS = 5;
const LOG_TAIL_CHARS = 400;

export interface Child {
  readonly pid: number;
  readonly hasExited: boolean;
  /** What it wrote to stderr, shortened, for error messages. */
  complaint(): string;
  stop(): Promise<void>;
  readonly exited: Promise<number>;
}

export function findProgram(name: string): string | undefined {
  return Bun.which(name, { PATH }) ?? undefined;
}

export class Children {
  readonly #running = new Set<Bun.Subprocess>();

  /** Starts a process that stays until `stop`. stdout and stderr go to `logFile`. */
  start(argv: readonly string[], logFile: string, onMessage?: (message: unknown) => void): Child {
    const log = openSync(logFile, "a");
    const subprocess = this.#track(
      Bun.spawn([...argv], {
        env: { PATH },
        stdio: ["ignore", log, log],
        ...(onMessage && { ipc: onMessage }),
      }),
    );
    closeSync(log);
    return {
      pid: subprocess.pid,
      exited: subprocess.exited,
      get hasExited() {
        return subprocess.exitCode !== null || subprocess.signalCode !== null;
      },
      complaint: () => readText(logFile).trim().slice(-LOG_TAIL_CHARS),
      stop: () => this.#stop(subprocess),
    };
  }

  /** Runs a tool to its end and returns its stdout. */
  async run(argv: readonly string[], expectedMs: number): Promise<string> {
    const subprocess = this.#track(
      Bun.spawn([...argv], {
        env: { PATH },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: expectedMs + TOOL_GRACE_MS,
      }),
    );
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(subprocess.stdout).text(),
      new Response(subprocess.stderr).text(),
      subprocess.exited,
    ]);
    if (exitCode === 0) return stdout;
    const reason = `${stderr}\n${stdout}`.trim().slice(-LOG_TAIL_CHARS);
    throw new Error(`${argv[0]} ended with ${subprocess.signalCode ?? exitCode}: ${reason}`);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((subprocess) => this.#stop(subprocess)));
  }

  killAllNow(): void {
    for (const subprocess of this.#running) killTree(processTree(subprocess.pid));
  }

  #track<T extends Bun.Subprocess>(subprocess: T): T {
    this.#running.add(subprocess);
    subprocess.exited.then(() => this.#running.delete(subprocess));
    return subprocess;
  }

  async #stop(subprocess: Bun.Subprocess): Promise<void> {
    if (!this.#running.has(subprocess)) return;
    const tree = processTree(subprocess.pid);
    subprocess.kill("SIGTERM");
    const timer = setTimeout(() => killTree(tree), STOP_GRACE_MS);
    await subprocess.exited;
    clearTimeout(timer);
  }
}

export class DeadlineError extends Error {}

/** Waits until `isDone` says so; `what` completes "… did not happen within". */
export async function waitFor(
  what: string,
  deadlineMs: number,
  isDone: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await isDone())) {
    if (performance.now() > endMs) throw new DeadlineError(`${what} did not happen within ${deadlineMs} ms`);
    await Bun.sleep(POLL_MS);
  }
}

/** The hard limit of open files, which children inherit. */
export function hardFileLimit(): number {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readText("/proc/self/limits"))?.[1];
  return limit === undefined || limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit);
}

/** CPU time the process and its living descendants have used since they started, user and system, all threads. */
export function cpuSeconds(rootPid: number): number {
  const ticks = processTree(rootPid).reduce((sum, pid) => sum + (readStat(pid)?.cpuTicks ?? 0), 0);
  return ticks / TICKS_PER_SECOND;
}

export interface Memory {
  readonly rssBytes: number;
  /** Pages shared with other processes counted in proportion, so that a process tree can be summed. */
  readonly pssBytes: number;
}

export function memoryOf(rootPid: number): Memory {
  const rollups = processTree(rootPid).map((pid) => parseSmapsRollup(readText(`/proc/${pid}/smaps_rollup`)));
  return {
    rssBytes: rollups.reduce((sum, memory) => sum + memory.rssBytes, 0),
    pssBytes: rollups.reduce((sum, memory) => sum + memory.pssBytes, 0),
  };
}

export function parseSmapsRollup(text: string): Memory {
  const kibibytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
  return { rssBytes: kibibytes("Rss") * 1024, pssBytes: kibibytes("Pss") * 1024 };
}

/** The process and all its descendants: nginx's workers are children of its master. */
function processTree(rootPid: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const pid of livingPids()) {
    const parent = readStat(pid)?.parentPid;
    if (parent !== undefined) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid]);
  }
  const tree = [rootPid];
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []));
  return tree;
}

function livingPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function readStat(pid: number): ProcessStat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  return text === "" ? undefined : parseStat(text);
}

export interface ProcessStat {
  readonly parentPid: number;
  readonly cpuTicks: number;
}

/** proc(5): `pid (name) state ppid … utime stime …`, the name may hold spaces and brackets; utime is field 14. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { parentPid: Number(fields[1]), cpuTicks: Number(fields[11]) + Number(fields[12]) };
}

function killTree(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // a process that has ended, a log that was never written
  }
}
