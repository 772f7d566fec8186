/** Threads for the data path. */
import { type Transferable, Worker, type WorkerOptions } from "node:worker_threads";

const IN_EXECUTABLE = "/$bunfs/";

/** Bun's types have `smol` for web workers only; it is passed on. */
interface ThreadOptions extends WorkerOptions {
  readonly smol: boolean;
}

/** The system refuses another thread. */
export class ThreadLimitError extends Error {
  override readonly name = "ThreadLimitError";
}

/**
 * Throws ThreadLimitError.
 *
 * A small heap: what encrypting leaves behind is collected before it has driven all else out of the processor's cache.
 * @param path from src on: "proxy/worker/main.ts"
 */
export function startWorker(path: string, workerData: unknown, transferList: Transferable[]): Worker {
  const options: ThreadOptions = { workerData, transferList, smol: true };
  try {
    return new Worker(workerUrl(path), options);
  } catch (cause) {
    throw new ThreadLimitError(
      "cannot start a thread: the thread limit is reached or memory is short; " +
        "raise TasksMax= and LimitNPROC= in the systemd unit (ulimit -u in a shell)",
      { cause },
    );
  }
}

/** In the executable, build/compile.ts has laid out the tree of the sources next to the program. */
function workerUrl(path: string): URL {
  const isExecutable = import.meta.url.includes(IN_EXECUTABLE);
  return new URL(isExecutable ? `./${path}` : `../${path}`, import.meta.url);
}
