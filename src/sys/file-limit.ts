/** The process's limit of open files. */
import { scratch } from "./arena.ts";
import { libc } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const MAX_USEFUL = 1 << 20;

/** Raises the soft limit to the hard one and returns it. */
export function raiseFileLimit(): number {
  if (libc.getrlimit(RLIMIT_NOFILE, scratch.address(0)) < 0) return 1024;
  const hard = scratch.view.getBigUint64(8, true);
  scratch.view.setBigUint64(0, hard, true);
  libc.setrlimit(RLIMIT_NOFILE, scratch.address(0));
  libc.getrlimit(RLIMIT_NOFILE, scratch.address(0));
  const soft = scratch.view.getBigUint64(0, true);
  return soft > BigInt(MAX_USEFUL) ? MAX_USEFUL : Number(soft);
}
