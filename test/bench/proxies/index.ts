import type { SubjectName } from "../workload.ts";
import { haproxy, haproxySplice } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { portmesh } from "./portmesh.ts";
import type { ProxyProgram } from "./proxy.ts";

export const proxyPrograms: Readonly<Record<Exclude<SubjectName, "direct">, ProxyProgram>> = {
  haproxy,
  "haproxy-splice": haproxySplice,
  nginx,
  portmesh,
};
