/**
 * No core dump of a process that knows the keys of the cluster. core(5): the kernel ignores the limit of 0 when
 * core_pattern is a pipe to a program, but starts no such program at the limit of 1, and writes no file that small.
 *
 * PR_SET_DUMPABLE would also forbid dumps, but gives /proc/self to root, which a node of another user reads. The hard
 * limit stays: `prlimit --core=unlimited: --pid PID` allows dumps again.
 */
import { scratch } from "./arena.ts";
import { libc } from "./libc.ts";

const RLIMIT_CORE = 4;
const NO_DUMP = 1n;

/** Without effect where the hard limit is 0. */
export function forbidCoreDumps(): void {
  if (libc.getrlimit(RLIMIT_CORE, scratch.address(0)) !== 0) return;
  scratch.view.setBigUint64(0, NO_DUMP, true);
  libc.setrlimit(RLIMIT_CORE, scratch.address(0));
}
