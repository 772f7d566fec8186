/** Who else can read a secret, with the command that changes it. */
import type { Stats } from "node:fs";
import { readersOf } from "../sys/regular-file.ts";

/** [] when nobody can who should not. @param what is in it */
export function warnOfReaders(path: string, stat: Stats, what = "cluster.keys"): string[] {
  const readers = readersOf(stat);
  if (readers === "owner") return [];
  const [who, mode] =
    readers === "everyone"
      ? ["every user of this machine", "o-r"]
      : ["a group that portmesh is not in", "g-r"];
  return [`${path}: ${who} can read ${what}: chmod ${mode} ${quoteForShell(path)}`];
}

function quoteForShell(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
