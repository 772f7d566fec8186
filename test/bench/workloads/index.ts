import type { Workload, WorkloadName } from "../workload.ts";
import { bulk1, bulk8, meshBulk } from "./bulk.ts";
import { dns1, dns10, dns32 } from "./dns.ts";
import { keepAlive, meshKeepAlive, meshLatency, meshOneShot, oneShot } from "./http.ts";
import { memory } from "./memory.ts";
import { startUp } from "./start-up.ts";

const alone = [bulk1, bulk8, keepAlive, oneShot, dns1, dns10, dns32, memory, startUp];
const mesh = [meshBulk, meshKeepAlive, meshOneShot, meshLatency];

export const workloads = Object.fromEntries(
  [...alone, ...mesh].map((workload) => [workload.name, workload]),
) as Readonly<Record<WorkloadName, Workload>>;
