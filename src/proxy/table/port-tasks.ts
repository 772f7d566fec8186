/** Which tasks of a service may serve clients of one of its published ports. */
import type { PublishedPort, Service, Task, TaskLoop } from "./routing-table.ts";

type Named = Pick<Task, "name" | "node" | "address">;

/** The loop that the task would be part of; undefined: it leads away from the port. */
export function loopOf(port: Pick<PublishedPort, "loops">, task: Named): TaskLoop | undefined {
  return port.loops?.find(
    (loop) => loop.task === task.name && loop.node === task.node && loop.address === task.address,
  );
}

/** Whether a task serves the port: in mode host only one of this node does, and never one that leads back to the port. */
export function servesPort(port: Pick<PublishedPort, "mode" | "loops">, task: Named): boolean {
  return (port.mode === "ingress" || task.node === null) && loopOf(port, task) === undefined;
}

/** Where a port is listened on: one of mode host only while a task of this node serves it, a closed one nowhere. */
export function addressesOf(
  { tasks, listenAddresses }: Pick<Service, "tasks" | "listenAddresses">,
  port: Pick<PublishedPort, "mode" | "listenAddresses" | "loops" | "isClosed">,
): readonly string[] {
  if (port.isClosed === true) return [];
  const isServed = port.mode === "ingress" || tasks.some((task) => servesPort(port, task));
  return isServed ? (port.listenAddresses ?? listenAddresses) : [];
}
