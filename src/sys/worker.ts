/** Threads for the data path. */
import { type Transferable, Worker, type WorkerOptions } from "node:worker_threads";

const IN_EXECUTABLE = "/$bunfs/";

/** Bun's types have `smol` for web workers only; it is passed on. */
interface ThreadOptions extends WorkerOptions {
  readonly smol: boolean;
}

/**
 * A small heap: what encrypting leaves behind is collected before it has driven all else out of the processor's cache.
 * @param path from src on: "proxy/worker/main.ts"
 */
export function startWorker(path: string, workerData: unknown, transferList: Transferable[]): Worker {
  const options: ThreadOptions = { workerData, transferList, smol: true };
  return new Worker(workerUrl(path), options);
}

/** In the executable, build/compile.ts has laid out the tree of the sources next to the program. */
function workerUrl(path: string): URL {
  const isExecutable = import.meta.url.includes(IN_EXECUTABLE);
  return new URL(isExecutable ? `./${path}` : `../${path}`, import.meta.url);
}
