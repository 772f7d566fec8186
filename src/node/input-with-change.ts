/** The routing input as it would be after a change of one service by command. Pure. */
import type { ServiceSpec, TaskSpec } from "../model/index.ts";
import type { InputService, InputTask, RoutingInput } from "./routing-input.ts";

export interface ServiceChange {
  readonly name: string;
  /** null: stays as it is. */
  readonly spec: ServiceSpec | null;
  /** Of this node. */
  readonly addTasks: readonly TaskSpec[];
  readonly removeTasks: readonly string[];
}

export function inputWithChange(input: RoutingInput, change: ServiceChange): RoutingInput {
  const { name, spec, addTasks, removeTasks } = change;
  const before = input.services.find((service) => service.name === name);
  const self = input.self.name;
  const kept = (before?.tasks ?? []).filter((task) => task.node !== self || !removeTasks.includes(task.name));
  const added = addTasks.map((task): InputTask => ({ ...task, node: self, isDraining: false }));
  const rules: Omit<InputService, "tasks"> | undefined =
    spec === null ? before : { ...spec, name, conflictingPorts: new Set<string>() };
  if (rules === undefined) return input;
  const after = { ...rules, tasks: [...kept, ...added] };
  const others = input.services.filter((service) => service.name !== name);
  return { ...input, services: [...others, after] };
}
