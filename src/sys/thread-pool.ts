/**
 * The runtime's pool of threads for what blocks: getaddrinfo, asynchronous file access. It has one thread a core, at
 * least two, so that a few lookups without an answer stop everything else in it. Threads are started when work waits.
 */
import { scratch } from "./arena.ts";
import { libc } from "./libc.ts";

/** A thread costs about 100 KiB, and only those that were needed exist. */
export const POOL_THREADS = 128;
const VARIABLE = "UV_THREADPOOL_SIZE";

/** Must come before the first use of the pool: that is when the runtime reads its size from the environment. */
export function widenThreadPool(): void {
  const name = Buffer.from(`${VARIABLE}\0`);
  scratch.bytes.set(name);
  scratch.bytes.set(Buffer.from(`${POOL_THREADS}\0`), name.length);
  libc.setenv(scratch.address(0), scratch.address(name.length), 1);
}
