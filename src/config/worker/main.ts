/** Entry of the thread that reads one large configuration file. */
import { parentPort, workerData } from "node:worker_threads";
import type { ReadTask } from "../read-aside.ts";
import { readConfig } from "../read-config.ts";

const { path, findings, environment } = workerData as ReadTask;
parentPort!.postMessage(
  readConfig(path, {
    environment,
    check(_, report) {
      for (const finding of findings) report(finding.path, finding.message);
    },
  }),
);
