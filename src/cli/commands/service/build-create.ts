/** The options of `service create` -> the request. Pure; throws CommandFailure for what is wrong in itself. */

import type { CreateService } from "../../../admin/index.ts";
import {
  DEFAULT_RULES,
  formatPort,
  type PortSpec,
  serviceName,
  type TaskSpec,
} from "../../../model/index.ts";
import { parsePublishOption } from "./publish-option.ts";
import { wrong } from "./read-option.ts";
import { applyRules, refuseUseless } from "./service-rules.ts";
import { FlagSources } from "./sources.ts";
import type { SpecOptions } from "./spec-flags.ts";
import { parseTaskOption } from "./task-option.ts";

export interface CreateOptions extends SpecOptions {
  readonly name: string;
  readonly publish: readonly string[];
  readonly task?: readonly string[];
}

export interface Built<Request> {
  readonly request: Request;
  readonly sources: FlagSources;
}

export function buildCreate(options: CreateOptions): Built<CreateService> {
  const sources = new FlagSources();
  const name = serviceName.safeParse(options.name);
  if (!name.success) wrong("--name", name.error.issues[0]?.message ?? "wrong");
  const publish = readPorts("--publish", options.publish, [], sources);
  const spec = { publish, ...applyRules(options, DEFAULT_RULES) };
  refuseUseless(options, spec);
  return {
    request: { name: name.data, spec, tasks: readTasks("--task", options.task ?? [], sources) },
    sources,
  };
}

/** `before` and the ports of the options; repeating a port with the same meaning is allowed. */
export function readPorts(
  flag: string,
  texts: readonly string[],
  before: readonly PortSpec[],
  sources: FlagSources,
): PortSpec[] {
  const ports = new Map(before.map((port) => [formatPort(port), port]));
  for (const text of texts) {
    const parsed = parsePublishOption(text);
    if ("error" in parsed) wrong(`${flag} ${text}`, parsed.error);
    for (const port of parsed.value) {
      const other = ports.get(formatPort(port));
      if (other !== undefined && !isSame(port, other)) wrong(`${flag} ${text}`, describeClash(other));
      ports.set(formatPort(port), port);
      sources.addPort(port, `${flag} ${text}`);
    }
  }
  return [...ports.values()];
}

export function readTasks(flag: string, texts: readonly string[], sources: FlagSources): TaskSpec[] {
  const tasks: TaskSpec[] = [];
  for (const text of texts) {
    const parsed = parseTaskOption(text);
    if ("error" in parsed) wrong(`${flag} ${text}`, parsed.error);
    const { host, port, name } = parsed.value;
    const twin = tasks.find((task) => task.host === host && task.port === port);
    if (twin !== undefined) wrong(`${flag} ${text}`, `is the same task as ${flag} ${twin.name}`);
    tasks.push(parsed.value);
    sources.addTask(name, `${flag} ${text}`);
  }
  return tasks;
}

function isSame(one: PortSpec, other: PortSpec): boolean {
  return Bun.deepEquals(one, other);
}

function describeClash(other: PortSpec): string {
  const names = (other.sni ?? []).map((name) => `,sni=${name}`).join("");
  return `port ${formatPort(other)} of this service is published already, to ${other.target} with mode=${other.mode}${names}`;
}
