/** Records of the catalog for tests: complete ones, of which a test says only what it is about. */

import type { Declaration, NodeRecord, TaskRecord } from "../../../src/catalog/index.ts";
import { DEFAULT_RULES, type PortSpec, type ServiceSpec } from "../../../src/model/index.ts";

export function port(published: number, changes: Partial<PortSpec> = {}): PortSpec {
  return { protocol: "tcp", published, target: 80, mode: "ingress", ...changes };
}

export function spec(
  published: number | readonly PortSpec[],
  changes: Partial<ServiceSpec> = {},
): ServiceSpec {
  return {
    publish: typeof published === "number" ? [port(published)] : published,
    ...DEFAULT_RULES,
    ...changes,
  };
}

/** As a file that has just been edited says it. */
export function declared(name: string, spec: ServiceSpec, changes: Partial<Declaration> = {}): Declaration {
  return { name, spec, file: "/etc/portmesh.toml", age: "newest", ...changes };
}

export function task(service: string, name: string, changes: Partial<TaskRecord> = {}): TaskRecord {
  return {
    service,
    name,
    host: "10.1.0.7",
    port: null,
    weight: 1,
    isDraining: false,
    origin: "file",
    ...changes,
  };
}

export function nodeRecord(changes: Partial<NodeRecord> = {}): NodeRecord {
  return {
    labels: {},
    relay: null,
    overlay: null,
    isDraining: false,
    version: "0.1.0",
    bindErrors: [],
    downTasks: [],
    ...changes,
  };
}
