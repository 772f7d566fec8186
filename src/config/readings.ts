/**
 * The values of a file as its schema reads them: everything once, and of a service with a fault what is right in it, for
 * the checks that need several keys.
 */

import { z } from "zod";
import {
  bindList,
  type Labels,
  labels,
  list,
  type PortRange,
  type ServiceTask,
  serviceName,
} from "../model/index.ts";
import { type ConfigDocument, plainNumber, valueAt } from "./document.ts";
import { reportIssues } from "./explain.ts";
import type { Path } from "./problem.ts";
import {
  adminListen,
  type ConfigFile,
  fileSchema,
  gossipBind,
  ownAddress,
  publishEntry,
  serviceTable,
  taskEntry,
} from "./schema.ts";

/** Everything but the services. */
export interface SettingsReading {
  /** null: something is wrong. */
  readonly data: Omit<ConfigFile, "services"> | null;
  /** Where gossip listens; null: not readable, or no cluster. */
  readonly bindHost: string | null;
  readonly advertise: string | null;
  /** null: not readable. */
  readonly proxyBind: readonly string[] | null;
  /** Address of admin.listen; null: not readable, or off. */
  readonly adminHost: string | null;
}

/** null is what could not be read. */
export interface ServiceReading {
  readonly data: ConfigFile["services"][number] | null;
  readonly name: string | null;
  readonly publish: readonly (PortRange | null)[];
  readonly tasks: readonly (ServiceTask | null)[];
  /** undefined: as proxy.bind. */
  readonly bind: readonly string[] | null | undefined;
  readonly nodes: Labels | null;
}

const settingsSchema = fileSchema.extend({ services: list(z.unknown()).prefault([]) });

export function readSettings(document: ConfigDocument): SettingsReading {
  const result = parseAt(document, [], settingsSchema);
  if (!result.success) reportIssues(document, result.error.issues);
  const read = <T>(schema: z.ZodType<T>, section: string, key: string, missing: T | null): T | null => {
    const value = valueAt(document.value, [section, key]);
    return value === undefined ? missing : (schema.safeParse(value).data ?? null);
  };
  return {
    data: result.data ?? null,
    bindHost: read(gossipBind, "cluster", "bind", { host: "0.0.0.0", port: 0 })?.host ?? null,
    advertise: read(ownAddress, "node", "advertise", null),
    proxyBind: read(bindList, "proxy", "bind", []),
    adminHost: read(adminListen, "admin", "listen", null)?.host ?? null,
  };
}

export function readServices(document: ConfigDocument): ServiceReading[] {
  const services = valueAt(document.value, ["services"]);
  if (!Array.isArray(services)) return [];
  return services.map((value, index) => {
    const path = ["services", index];
    const result = parseAt(document, path, serviceTable);
    if (result.success) return { data: result.data, ...result.data, bind: result.data.bind };
    reportIssues(document, result.error.issues, path);
    return salvage((value ?? {}) as Readonly<Record<string, unknown>>);
  });
}

/** A string with a variable in it also stands for a number or for true and false, where one is expected. */
function parseAt<T>(document: ConfigDocument, path: Path, schema: z.ZodType<T>): z.ZodSafeParseResult<T> {
  const result = schema.safeParse(valueAt(document.value, path));
  if (result.success || document.variableUses.length === 0) return result;
  const isOther = mistyped(result.error.issues, path).map((at) => readVariable(document, at));
  return isOther.includes(true) ? schema.safeParse(valueAt(document.value, path)) : result;
}

/** Places of values that should be a number, true or false. */
function mistyped(issues: readonly z.core.$ZodIssue[], base: Path): Path[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...(issue.path as Path)];
    if (issue.code === "invalid_union") return issue.errors.flatMap((branch) => mistyped(branch, path));
    return issue.code === "invalid_type" && PLAIN_TYPES.has(issue.expected) ? [path] : [];
  });
}

const PLAIN_TYPES: ReadonlySet<string> = new Set(["int", "number", "boolean"]);
const PLAIN_VALUE = /^(?:true|false|-?(?:0|[1-9]\d{0,14}))$/;

/** True when the value at `path` is now a number, true or false. */
function readVariable(document: ConfigDocument, path: Path): boolean {
  const text = valueAt(document.value, path);
  const parent = valueAt(document.value, path.slice(0, -1));
  if (document.variablesAt(path) === null || typeof text !== "string" || !PLAIN_VALUE.test(text))
    return false;
  (parent as Record<string | number, unknown>)[path.at(-1)!] = plainNumber(JSON.parse(text));
  return true;
}

function salvage({ name, publish, tasks, bind, nodes }: Readonly<Record<string, unknown>>): ServiceReading {
  const each = <T>(entries: unknown, schema: z.ZodType<T>) =>
    Array.isArray(entries) ? entries.map((entry) => schema.safeParse(entry).data ?? null) : [];
  return {
    data: null,
    name: serviceName.safeParse(name).data ?? null,
    publish: each(publish, publishEntry),
    tasks: each(tasks, taskEntry),
    bind: bind === undefined ? undefined : (bindList.safeParse(bind).data ?? null),
    nodes: labels().safeParse(nodes ?? {}).data ?? null,
  };
}
