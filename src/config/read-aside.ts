/**
 * Reads a configuration file without holding up the thread that asks: a large one is parsed by a thread of its own,
 * whose memory goes with it.
 */
import type { Worker } from "node:worker_threads";
import { startWorker, ThreadLimitError } from "../sys/worker.ts";
import { type ConfigCheck, deepFreeze, refuseFile } from "./parse-config.ts";
import type { Path } from "./problem.ts";
import { type FileResult, isLargeFile, readConfig } from "./read-config.ts";
import type { Environment } from "./variables.ts";

/** Several times what the largest file takes on a busy machine. */
const TIMEOUT_MS = 120_000;

export interface ReadTask {
  readonly path: string;
  readonly environment: Environment;
  /** What is wrong although it is right in itself; the thread knows where it stands in the file. */
  readonly findings: readonly { readonly path: Path; readonly message: string }[];
}

/** Never rejects, unless `check` throws. */
export async function readConfigAside(path: string, check: ConfigCheck): Promise<FileResult> {
  if (!isLargeFile(path)) return readConfig(path, { check });
  const environment = { ...process.env };
  const result = await readInThread({ path, environment, findings: [] });
  if ("problems" in result) return result;
  const findings: ReadTask["findings"][number][] = [];
  check(result.config, (at, message) => findings.push({ path: at, message }));
  return findings.length === 0 ? result : await readInThread({ path, environment, findings });
}

function startThread(task: ReadTask, refuse: (reason: string) => void): Worker | null {
  try {
    return startWorker("config/worker/main.ts", task, []);
  } catch (error) {
    if (!(error instanceof ThreadLimitError)) throw error;
    refuse(error.message);
    return null;
  }
}

function readInThread(task: ReadTask): Promise<FileResult> {
  return new Promise((resolve) => {
    const refuse = (reason: string) => resolve(refuseFile(task.path, `cannot read the file: ${reason}`));
    const thread = startThread(task, refuse);
    if (thread === null) return;
    const timer = setTimeout(() => {
      refuse(`not done after ${TIMEOUT_MS / 1000} s`);
      void thread.terminate();
    }, TIMEOUT_MS);
    thread.on("message", (result: FileResult) => resolve(deepFreeze(result)));
    thread.on("error", (error: Error) => refuse(error.message));
    thread.on("exit", () => {
      clearTimeout(timer);
      refuse("its thread has ended"); // without effect after a result
    });
  });
}
