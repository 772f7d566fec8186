/** Entry of a worker thread. */
import { workerData } from "node:worker_threads";
import type { WorkerSetup } from "../table/worker-messages.ts";
import { Worker } from "./worker.ts";

new Worker(workerData as WorkerSetup).run();
