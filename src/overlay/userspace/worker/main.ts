/** Entry of the userspace driver's thread. */
import { workerData } from "node:worker_threads";
import type { WorkerSetup } from "../worker-messages.ts";
import { Worker } from "./worker.ts";

new Worker(workerData as WorkerSetup).run();
