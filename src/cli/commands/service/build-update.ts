/** A service and the options of `service update` -> the request. Pure; throws CommandFailure for what is wrong. */

import type { ServiceInfo, UpdateService } from "../../../admin/index.ts";
import { areSpecsEqual, type PortSpec } from "../../../model/index.ts";
import { CommandFailure, EXIT_WRONG } from "../../invocation.ts";
import { formatPorts } from "../../render/ports.ts";
import { type Built, readPorts, readTasks } from "./build-create.ts";
import { matchesPort, parsePublishRemoval } from "./publish-option.ts";
import { wrong } from "./read-option.ts";
import { applyRules, refuseUseless } from "./service-rules.ts";
import { FlagSources } from "./sources.ts";
import type { SpecOptions } from "./spec-flags.ts";
import { findTaskName } from "./task-option.ts";

export interface UpdateOptions extends SpecOptions {
  readonly publishAdd?: readonly string[];
  readonly publishRm?: readonly string[];
  readonly taskAdd?: readonly string[];
  readonly taskRm?: readonly string[];
}

export function buildUpdate(service: ServiceInfo, options: UpdateOptions): Built<UpdateService> {
  const sources = new FlagSources();
  const { publish, ...rules } = service.spec;
  const kept = removePorts(publish, options.publishRm ?? []);
  const ports = readPorts("--publish-add", options.publishAdd ?? [], kept, sources);
  if (ports.length === 0) {
    wrong(
      "--publish-rm",
      `would leave no port: remove the service with \`portmesh service rm ${service.name}\``,
    );
  }
  const spec = { publish: ports, ...applyRules(options, rules) };
  refuseUseless(options, spec);
  const request = {
    expected: service.stamp,
    spec: areSpecsEqual(spec, service.spec) ? null : spec,
    addTasks: readTasks("--task-add", options.taskAdd ?? [], sources),
    removeTasks: readRemovals(service, options.taskRm ?? [], sources),
  };
  return { request, sources };
}

/** Throws CommandFailure when no option says what to change. */
export function refuseEmptyUpdate(options: UpdateOptions): void {
  // commander sets an option like --no-healthcheck to true where it is not given
  const { healthcheck, ...others } = options;
  if (healthcheck === false || Object.values(others).some((value) => value !== undefined)) return;
  throw new CommandFailure("nothing to change: name an option, e.g. --publish-add 9090:80", EXIT_WRONG);
}

function removePorts(ports: readonly PortSpec[], texts: readonly string[]): PortSpec[] {
  let kept = [...ports];
  for (const text of texts) {
    const parsed = parsePublishRemoval(text);
    if ("error" in parsed) wrong(`--publish-rm ${text}`, parsed.error);
    for (const pattern of parsed.value) {
      const rest = kept.filter((port) => !matchesPort(pattern, port));
      if (rest.length === kept.length) wrong(`--publish-rm ${text}`, describeMiss(ports));
      kept = rest;
    }
  }
  return kept;
}

function describeMiss(ports: readonly PortSpec[]): string {
  return `no such port: published are ${formatPorts(ports).join(", ")}; name the target port, e.g. ${example(ports)}`;
}

function example(ports: readonly PortSpec[]): string {
  const [first] = ports;
  return first === undefined ? "80" : `${first.target}/${first.protocol}`;
}

function readRemovals(service: ServiceInfo, texts: readonly string[], sources: FlagSources): string[] {
  return texts.map((text) => {
    const name = findTaskName(service.tasks, text);
    sources.addTask(name, `--task-rm ${text}`);
    return name;
  });
}
