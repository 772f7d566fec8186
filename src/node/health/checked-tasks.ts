/** The tasks of this node that are checked, and where. Pure. */
import { taskKey, type VisibleTask } from "../../catalog/index.ts";
import type { Checked } from "../../health/index.ts";
import type { Check, ServiceSpec } from "../../model/index.ts";

export interface CheckedTask extends Checked {
  readonly service: string;
  readonly name: string;
  /** Canonical IP address or DNS name. */
  readonly host: string;
  readonly port: number;
  /** Why it is not probed; null: it is. */
  readonly refusal: string | null;
}

/** A program of another's choice, on this machine, is for its operator to allow. */
const EXEC_REFUSED =
  "not run: the exec check is not from this node's file, which does not set node.exec_checks";

/**
 * @param services by name
 * @param ownServices as this node's file has them
 * @param runsAnyExec also exec checks that other files or commands define
 */
export function checkedTasks(
  tasks: readonly VisibleTask[],
  services: ReadonlyMap<string, { readonly spec: ServiceSpec }>,
  ownServices: ReadonlyMap<string, { readonly spec: ServiceSpec }>,
  runsAnyExec: boolean,
): CheckedTask[] {
  return tasks.flatMap((task) => {
    const spec = services.get(task.service)?.spec;
    if (spec == null || spec.check === null) return [];
    const { service, name, host } = task;
    const { check } = spec;
    const isAllowed =
      check.type !== "exec" || runsAnyExec || Bun.deepEquals(ownServices.get(service)?.spec.check, check);
    const place = { key: taskKey(service, name), service, name, host, port: portOf(check, task, spec) };
    return [{ ...place, check, refusal: isAllowed ? null : EXEC_REFUSED }];
  });
}

/** The model sees to it that there is one. */
function portOf(check: Check, task: VisibleTask, { publish }: ServiceSpec): number {
  const protocol = check.type === "udp" ? "udp" : "tcp";
  const own = check.type === "exec" ? null : check.port;
  return own ?? task.port ?? (publish.find((port) => port.protocol === protocol) ?? publish[0]!).target;
}
