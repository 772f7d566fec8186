import type { SubjectName } from "../workload.ts";
import { haproxy, haproxyPair, haproxySplice } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { portmesh } from "./portmesh.ts";
import { portmeshPair } from "./portmesh-pair.ts";
import type { ProxyProgram } from "./proxy.ts";

export const proxyPrograms: Readonly<Record<Exclude<SubjectName, "direct">, ProxyProgram>> = {
  haproxy,
  "haproxy-splice": haproxySplice,
  "haproxy-pair": haproxyPair,
  nginx,
  portmesh,
  "portmesh-pair": portmeshPair,
};
