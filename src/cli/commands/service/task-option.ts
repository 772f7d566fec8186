/** `--task ADDRESS[,weight=N][,backup]`: where a task of this node listens. */
import { parseTaskAddress, showValue, type TaskSpec } from "../../../model/index.ts";
import type { ParsedOption } from "./publish-option.ts";

const DEFAULT_WEIGHT = 1;

export function parseTaskOption(text: string): ParsedOption<TaskSpec> {
  const [name = "", ...options] = text.trim().split(",");
  const address = parseTaskAddress(name);
  if ("error" in address) return address;
  const backup = options.at(-1) === "backup" ? { isBackup: true } : {};
  const rest = options.slice(0, options.length - Object.keys(backup).length).join(",");
  if (rest === "") return { value: { name, ...address, weight: DEFAULT_WEIGHT, ...backup } };
  const weight = /^weight=(.*)$/.exec(rest)?.[1];
  if (weight === undefined) {
    return { error: `${showValue(rest)} is not weight=N, which with backup alone may follow the address` };
  }
  const parsed = parseWeight(weight);
  return "error" in parsed ? parsed : { value: { name, ...address, weight: parsed.value, ...backup } };
}

export function parseWeight(text: string): ParsedOption<number> {
  const weight = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (weight >= 1 && weight <= 256) return { value: weight };
  return { error: `${showValue(text)} is not a weight: a whole number in 1..256` };
}

/** The name under which a service knows a task, however the address is spelled now; as it is when it has none. */
export function findTaskName(
  tasks: readonly Pick<TaskSpec, "name" | "host" | "port">[],
  text: string,
): string {
  if (tasks.some((task) => task.name === text)) return text;
  const address = parseTaskAddress(text);
  if ("error" in address) return text;
  return tasks.find((task) => task.host === address.host && task.port === address.port)?.name ?? text;
}
