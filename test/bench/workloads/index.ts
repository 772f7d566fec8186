import type { Workload, WorkloadName } from "../workload.ts";
import { bulk1, bulk8 } from "./bulk.ts";
import { dns1, dns10, dns32 } from "./dns.ts";
import { keepAlive, oneShot } from "./http.ts";
import { memory } from "./memory.ts";
import { startUp } from "./start-up.ts";

const all = [bulk1, bulk8, keepAlive, oneShot, dns1, dns10, dns32, memory, startUp];

export const workloads = Object.fromEntries(all.map((workload) => [workload.name, workload])) as Readonly<
  Record<WorkloadName, Workload>
>;
