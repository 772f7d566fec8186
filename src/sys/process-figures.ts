/** What this process uses, as the kernel counts it. */
import { readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { raiseFileLimit } from "./file-limit.ts";

const KIB = 1024;
/** proc(5): clock ticks a second, the same on every Linux that is in use. */
const TICKS_PER_SEC = 100;
/** Of /proc/self/stat, behind the name. */
const START_TIME = 19;

export interface ProcessFigures {
  /** Of all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly virtualBytes: number;
  /** Seconds since 1970. */
  readonly startedAtSeconds: number;
  readonly openDescriptors: number;
  readonly maxDescriptors: number;
  readonly threads: number;
}

export async function readProcessFigures(): Promise<ProcessFigures> {
  const status = readFileSync("/proc/self/status", "utf8");
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: numberIn(status, "VmRSS:") * KIB,
    virtualBytes: numberIn(status, "VmSize:") * KIB,
    startedAtSeconds: startSeconds(),
    openDescriptors: await countDescriptors(),
    maxDescriptors: raiseFileLimit(),
    threads: numberIn(status, "Threads:"),
  };
}

/** Since Linux 6.2 the directory's size says how many there are; before, they have to be listed, off this thread. */
async function countDescriptors(): Promise<number> {
  const { size } = statSync("/proc/self/fd");
  return size > 0 ? size : (await readdir("/proc/self/fd")).length;
}

/** [proc(5)] in ticks since the machine has started; the name before it, in parentheses, may have any character */
function startSeconds(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME]);
  return numberIn(readFileSync("/proc/stat", "utf8"), "btime") + ticks / TICKS_PER_SEC;
}

/** The first number behind a word at the start of a line. */
function numberIn(text: string, word: string): number {
  const at = text.indexOf(`\n${word}`);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + 1 + word.length), 10);
}
