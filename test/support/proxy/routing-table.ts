/** Routing tables for tests: a service with defaults, everything can be overridden. */
import type { Protocol } from "../../../src/model/index.ts";
import { EMPTY_TABLE, type RoutingTable, type Service, type Task } from "../../../src/proxy/index.ts";

const ANYONE = ["0.0.0.0/0", "::/0"];

export interface TestService extends Partial<Omit<Service, "tasks">> {
  readonly protocol: Protocol;
  readonly published: number;
  readonly tasks: readonly TestTask[];
}

/** A port on 127.0.0.1, or a task. */
export type TestTask = number | Partial<Task>;

export function tableOf(...services: readonly TestService[]): RoutingTable {
  return { ...EMPTY_TABLE, services: services.map(serviceOf) };
}

function serviceOf({ protocol, published, tasks, ...overrides }: TestService): Service {
  return {
    name: "test",
    balance: "round-robin",
    prefer: "any",
    sendProxy: "none",
    acceptProxy: [],
    allow: ANYONE,
    deny: [],
    maxConnections: 0,
    idleTimeoutMs: 0,
    drainTimeoutMs: 30_000,
    udp: { mode: "session", idleTimeoutMs: 90_000, maxSessions: 65_536, responses: 0 },
    listenAddresses: ["127.0.0.1"],
    ports: [{ protocol, published, target: published, mode: "ingress" }],
    tasks: tasks.map(taskOf),
    ...overrides,
  };
}

function taskOf(task: TestTask): Task {
  const given = typeof task === "number" ? { port: task } : task;
  const { address = "127.0.0.1", port = null } = given;
  const name = `${address}:${port}`;
  return {
    name,
    node: null,
    distance: "local",
    identity: name,
    address,
    port,
    weight: 1,
    isDraining: false,
    ...given,
  };
}
