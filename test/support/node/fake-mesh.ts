/** A mesh in memory that keeps the promises of ClusterNode: one node, edge-1, whose services and tasks are lists. */

import {
  type ApiError,
  apiErrors,
  type ClusterCommands,
  type ClusterNode,
  type CreateService,
  type DefinitionInfo,
  type EventList,
  type EventStream,
  type NodeAction,
  type NodeInfo,
  type ServiceInfo,
  type TaskInfo,
  type Trace,
  type TraceQuery,
  type UpdateService,
} from "../../../src/admin/index.ts";
import {
  DEFAULT_RULES,
  type EventFilter,
  type ServiceSpec,
  type TaskSpec,
} from "../../../src/model/index.ts";

export const SELF = "edge-1";
const CREATED_AT = Date.UTC(2026, 0, 2, 3, 4, 5);

export const SPEC: ServiceSpec = {
  publish: [{ protocol: "tcp", published: 8080, target: 80, mode: "ingress" }],
  ...DEFAULT_RULES,
};

export function taskView(name: string, rest: Partial<TaskInfo> = {}): TaskInfo {
  const declared = { name, host: name, port: null, weight: 1 };
  return { ...declared, node: SELF, origin: "api", state: "active", error: null, health: null, ...rest };
}

export function serviceView(name: string, rest: Partial<ServiceInfo> = {}): ServiceInfo {
  return {
    name,
    spec: SPEC,
    origin: "api",
    definitions: [definitionView({ file: rest.origin === "file" ? "/etc/portmesh.toml" : null })],
    stamp: { counter: 7, node: SELF },
    created: { counter: 7, node: SELF },
    createdAtMs: CREATED_AT,
    updatedAtMs: CREATED_AT,
    tasks: [],
    conflicts: [],
    isInPanic: false,
    overwritten: [],
    ...rest,
  };
}

function definitionView(rest: Partial<DefinitionInfo> = {}): DefinitionInfo {
  return { node: SELF, file: null, isAlive: true, changedAtMs: CREATED_AT, differences: [], ...rest };
}

export function nodeView(name: string, rest: Partial<NodeInfo> = {}): NodeInfo {
  return {
    name,
    address: "192.0.2.10:7946",
    state: "alive",
    isSelf: name === SELF,
    isDraining: false,
    labels: {},
    zone: null,
    tasks: 0,
    version: "0.1.0",
    relay: "192.0.2.10:4789",
    rttMs: null,
    bindErrors: [],
    ...rest,
  };
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

export class FakeMesh implements ClusterNode, ClusterCommands {
  readonly handover = {
    open: () => ({ reason: "not in this test" }),
    onFailed: () => undefined,
    upgrade: async () => ({ reason: "not in this test", retryAfterMs: null }),
  };

  readonly metrics = {
    scrape: async () => ({ contentType: "text/plain", isZipped: false, chunks: noChunks() }),
  };

  readonly commands = this;
  list: ServiceInfo[];
  members: NodeInfo[] = [nodeView(SELF)];
  readonly directives: [string, NodeAction][] = [];
  readonly traced: TraceQuery[] = [];
  traceAnswer: Partial<Trace> = {};
  /** Runs before a change is judged: somebody else's write. */
  beforeChange: () => void = () => {};

  constructor(...services: ServiceInfo[]) {
    this.list = services;
  }

  notReady: string | null = null;
  readyPorts: readonly number[] = [];

  async ping(): Promise<void> {}

  whyPortNotReady(_protocol: string, port: number): string | null {
    return this.readyPorts.includes(port) ? null : `no service publishes ${port}`;
  }

  /** What `events` gives, and what followers get first. */
  eventList: EventList = { events: [], unanswered: [] };
  readonly followers = new Set<EventStream>();
  readonly asked: EventFilter[] = [];

  async events(filter: EventFilter): Promise<EventList> {
    this.asked.push(filter);
    return this.eventList;
  }

  async followEvents(filter: EventFilter, stream: EventStream): Promise<Disposable> {
    this.asked.push(filter);
    this.followers.add(stream);
    stream.onEvents(this.eventList.events);
    stream.onUnanswered(this.eventList.unanswered);
    return { [Symbol.dispose]: () => void this.followers.delete(stream) };
  }

  makeWay(): boolean {
    return false;
  }

  status(): object {
    return { node: SELF };
  }

  async reload(): Promise<{ outcome: string }> {
    return { outcome: "unchanged" };
  }

  services(): readonly ServiceInfo[] {
    return this.list.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  service(name: string): ServiceInfo | null {
    return this.list.find((service) => service.name === name) ?? null;
  }

  async createService({ name, spec, tasks }: CreateService): Promise<ApiError | null> {
    if (this.service(name) !== null) return apiErrors.serviceExists(name);
    const taken = this.#takenPort(name, spec);
    if (taken !== null) return taken;
    this.list.push(serviceView(name, { spec, tasks: tasks.map(asView) }));
    return null;
  }

  async updateService(name: string, request: UpdateService): Promise<ApiError | null> {
    this.beforeChange();
    const service = this.service(name);
    if (service === null) return apiErrors.noSuchService(name);
    if (request.spec !== null && service.origin === "file")
      return apiErrors.serviceFromFile(name, service.definitions);
    if (request.expected.counter !== service.stamp.counter) return apiErrors.serviceChanged(name);
    const taken = request.spec === null ? null : this.#takenPort(name, request.spec);
    if (taken !== null) return taken;
    const gone = new Set(request.removeTasks);
    const missing = request.removeTasks.find((task) => !service.tasks.some((other) => other.name === task));
    if (missing !== undefined) return apiErrors.noSuchTask(name, missing, []);
    const tasks = [...service.tasks.filter((task) => !gone.has(task.name)), ...request.addTasks.map(asView)];
    this.write(name, { spec: request.spec ?? service.spec, tasks });
    return null;
  }

  async removeService(name: string): Promise<ApiError | null> {
    const service = this.service(name);
    if (service === null) return apiErrors.noSuchService(name);
    if (service.origin === "file") return apiErrors.serviceFromFile(name, service.definitions);
    this.list = this.list.filter((other) => other !== service);
    return null;
  }

  async addTask(name: string, task: TaskSpec): Promise<ApiError | null> {
    const service = this.service(name);
    if (service === null) return apiErrors.noSuchService(name);
    if (service.tasks.some((other) => other.name === task.name)) return apiErrors.taskExists(name, task.name);
    this.write(name, { tasks: [...service.tasks, asView(task)] });
    return null;
  }

  async removeTask(name: string, task: string): Promise<ApiError | null> {
    return this.#changeTask(name, task, () => []);
  }

  async drainTask(name: string, task: string, isDraining: boolean): Promise<ApiError | null> {
    const state = isDraining ? "draining" : "active";
    return this.#changeTask(name, task, (found) => [{ ...found, state }]);
  }

  nodes(): readonly NodeInfo[] {
    return this.members;
  }

  async setNodeDirective(name: string, directive: NodeAction): Promise<ApiError | null> {
    const node = this.members.find((member) => member.name === name);
    if (node === undefined) return apiErrors.noSuchNode(name);
    if (directive === "forget" && node.state === "alive") return apiErrors.nodeAlive(name);
    this.directives.push([name, directive]);
    return null;
  }

  portTests: readonly object[] = [];

  async testPorts(): Promise<readonly object[]> {
    return this.portTests;
  }

  async trace(query: TraceQuery): Promise<Trace> {
    this.traced.push(query);
    return { ...query, node: SELF, services: [], ...this.traceAnswer };
  }

  /** A write of the record: its stamp moves on. */
  write(name: string, changes: Partial<ServiceInfo>): void {
    this.list = this.list.map((service) => {
      if (service.name !== name) return service;
      const stamp = { counter: service.stamp.counter + 1, node: SELF };
      return { ...service, ...changes, stamp };
    });
  }

  #changeTask(name: string, task: string, change: (task: TaskInfo) => TaskInfo[]): ApiError | null {
    const service = this.service(name);
    if (service === null) return apiErrors.noSuchService(name);
    const named = service.tasks.filter((other) => other.name === task);
    const own = named.find((other) => other.node === SELF);
    if (own === undefined)
      return apiErrors.noSuchTask(
        name,
        task,
        named.map((other) => other.node),
      );
    this.write(name, { tasks: service.tasks.flatMap((other) => (other === own ? change(own) : [other])) });
    return null;
  }

  #takenPort(name: string, spec: ServiceSpec): ApiError | null {
    for (const other of this.list.filter((service) => service.name !== name)) {
      const keys = new Set(other.spec.publish.map((port) => `${port.published}/${port.protocol}`));
      const taken = spec.publish.find((port) => keys.has(`${port.published}/${port.protocol}`));
      if (taken !== undefined) return apiErrors.portTaken(taken, other.name);
    }
    return null;
  }
}

function asView(task: TaskSpec): TaskInfo {
  return taskView(task.name, task);
}
