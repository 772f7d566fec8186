/**
 * The operators' commands, in the words of the admin API: a request is checked against everything known
 * and carried out whole or refused whole. A change is done when it is kept and this node serves it.
 */

import {
  type ApiError,
  apiErrors,
  type ClusterCommands,
  type CreateService,
  type NodeAction,
  type UpdateService,
} from "../admin/index.ts";
import {
  type Catalog,
  type CatalogWriter,
  findConflicts,
  type TaskRecord,
  type VisibleService,
  type VisibleTask,
} from "../catalog/index.ts";
import type { ServiceSpec, TaskSpec } from "../model/index.ts";
import type { CatalogWrites } from "./cluster/catalog-writes.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { ServiceChange } from "./input-with-change.ts";

export interface CommandParts {
  readonly catalog: Catalog;
  readonly writes: Pick<CatalogWrites, "write" | "writeKept">;
  readonly nodes: Pick<Cluster, "isKnownNode" | "isLiveNode" | "forget">;
  readonly self: string;
  readonly nowMs: () => number;
  /** node.exec_checks */
  readonly runsAnyExec: () => boolean;
  /** Why the change is refused, whatever the catalog says: null when it is not. */
  readonly objectTo: (change: ServiceChange) => Pick<ApiError, "error" | "about"> | null;
  /** Resolves when this node serves what the catalog says. */
  readonly apply: () => Promise<void>;
}

const UNKNOWN_PEER = { counter: Number.MAX_SAFE_INTEGER, node: "" };

export class Commands implements ClusterCommands {
  readonly #parts: CommandParts;

  constructor(parts: CommandParts) {
    this.#parts = parts;
  }

  async createService({ name, spec, tasks }: CreateService): Promise<ApiError | null> {
    if (this.#service(name) !== undefined) return apiErrors.serviceExists(name);
    const refusal =
      this.#refusedExec(spec) ??
      this.#takenPort(name, spec) ??
      this.#objectTo({ name, spec, addTasks: tasks, removeTasks: [] });
    if (refusal !== null) return refusal;
    return await this.#writeKept((writer, nowMs) => {
      writer.writeService(name, spec, nowMs);
      for (const task of tasks) writer.writeTask(recordOf(name, task));
    });
  }

  async updateService(name: string, request: UpdateService): Promise<ApiError | null> {
    const service = this.#service(name);
    const { spec, expected, addTasks, removeTasks } = request;
    if (service === undefined) return apiErrors.noSuchService(name);
    if (spec !== null && service.origin === "file") return this.#declaredByFile(service);
    const { stamp } = service;
    if (expected.counter !== stamp.counter || expected.node !== stamp.node)
      return apiErrors.serviceChanged(name);
    const refusal =
      (spec === null ? null : (this.#refusedExec(spec) ?? this.#takenPort(name, spec))) ??
      this.#judgeTasks(name, addTasks, removeTasks) ??
      this.#objectTo({ name, spec, addTasks, removeTasks });
    if (refusal !== null) return refusal;
    return await this.#writeKept((writer, nowMs) => {
      if (spec !== null) writer.writeService(name, spec, nowMs);
      for (const task of removeTasks) writer.removeTask(name, task);
      for (const task of addTasks) writer.writeTask(recordOf(name, task));
    });
  }

  async removeService(name: string): Promise<ApiError | null> {
    const service = this.#service(name);
    if (service === undefined) return apiErrors.noSuchService(name);
    if (service.origin === "file") return this.#declaredByFile(service);
    return await this.#writeKept((writer) => writer.removeService(name));
  }

  async addTask(service: string, task: TaskSpec): Promise<ApiError | null> {
    if (this.#service(service) === undefined) return apiErrors.noSuchService(service);
    const change = { name: service, spec: null, addTasks: [task], removeTasks: [] };
    const refusal = this.#judgeTasks(service, [task], []) ?? this.#objectTo(change);
    return refusal ?? (await this.#writeKept((writer) => writer.writeTask(recordOf(service, task))));
  }

  async removeTask(service: string, name: string): Promise<ApiError | null> {
    const refusal = this.#judgeTasks(service, [], [name]);
    return refusal ?? (await this.#writeKept((writer) => writer.removeTask(service, name)));
  }

  async drainTask(service: string, name: string, isDraining: boolean): Promise<ApiError | null> {
    const task = this.#ownTask(service, name);
    if (task === undefined) return this.#noSuchTask(service, name);
    const { owner: _owner, stamp: _stamp, ...record } = task;
    return await this.#write((writer) => writer.writeTask({ ...record, isDraining }));
  }

  async setNodeDirective(name: string, directive: NodeAction): Promise<ApiError | null> {
    const { nodes } = this.#parts;
    if (!nodes.isKnownNode(name)) return apiErrors.noSuchNode(name);
    if (directive === "forget" && nodes.isLiveNode(name)) return apiErrors.nodeAlive(name);
    const refusal = await this.#write((writer) =>
      writer.setDirective(name, directive === "resume" ? null : directive),
    );
    if (refusal === null && directive === "forget") nodes.forget(name);
    return refusal;
  }

  #judgeTasks(service: string, add: readonly TaskSpec[], remove: readonly string[]): ApiError | null {
    for (const name of remove) {
      const task = this.#ownTask(service, name);
      if (task === undefined) return this.#noSuchTask(service, name);
      if (task.origin === "file") return apiErrors.taskFromFile(service, name);
    }
    const twice = add.find(
      ({ name }) => this.#ownTask(service, name) !== undefined && !remove.includes(name),
    );
    return twice === undefined ? null : apiErrors.taskExists(service, twice.name);
  }

  #noSuchTask(service: string, name: string): ApiError {
    if (this.#service(service) === undefined) return apiErrors.noSuchService(service);
    const elsewhere = this.#parts.catalog.tasksOf(service).filter((task) => task.name === name);
    return apiErrors.noSuchTask(
      service,
      name,
      elsewhere.map((task) => task.owner),
    );
  }

  #refusedExec({ check }: ServiceSpec): ApiError | null {
    if (check?.type !== "exec" || this.#parts.runsAnyExec()) return null;
    const error =
      "this node does not run exec checks defined by command: declare the service in its file, " +
      "or set node.exec_checks = true";
    return { code: "invalid", error };
  }

  /** As the youngest of all, which loses every port that another has. */
  #takenPort(name: string, spec: ServiceSpec): ApiError | null {
    const services = [...this.#parts.catalog.services().values()].filter((service) => service.name !== name);
    const times = { created: UNKNOWN_PEER, createdAtMs: 0, updatedAtMs: 0 };
    const lost = findConflicts([...services, { name, spec, ...times }]).get(name)?.[0];
    return lost === undefined ? null : apiErrors.portTaken(lost, lost.keptBy);
  }

  #objectTo(change: ServiceChange): ApiError | null {
    const objection = this.#parts.objectTo(change);
    return objection === null ? null : { code: "invalid", ...objection };
  }

  async #writeKept(change: (writer: CatalogWriter, nowMs: number) => void): Promise<ApiError | null> {
    const { writes, nowMs, apply } = this.#parts;
    const timeMs = nowMs();
    const refused = writes.writeKept((writer) => change(writer, timeMs));
    if (refused === null) await apply();
    return refused;
  }

  /** Also where nothing can be kept: a node whose disk is full has to be drained. */
  async #write(change: (writer: CatalogWriter, nowMs: number) => void): Promise<ApiError | null> {
    const { writes, nowMs, apply } = this.#parts;
    const refused = writes.write((writer) => change(writer, nowMs()));
    if (refused !== null) return { code: "invalid", error: refused };
    await apply();
    return null;
  }

  #declaredByFile({ name, definitions }: VisibleService): ApiError {
    const { nodes } = this.#parts;
    return apiErrors.serviceFromFile(
      name,
      definitions.map(({ node, file }) => ({ node, file, isAlive: nodes.isLiveNode(node) })),
    );
  }

  #service(name: string): VisibleService | undefined {
    return this.#parts.catalog.services().get(name);
  }

  #ownTask(service: string, name: string): VisibleTask | undefined {
    const { catalog, self } = this.#parts;
    return catalog.tasksOf(service).find((task) => task.owner === self && task.name === name);
  }
}

function recordOf(service: string, task: TaskSpec): TaskRecord {
  return { ...task, service, isDraining: false, origin: "api" };
}
