/**
 * The options of `service create` and `service update` that make up a specification, checked with the same rules as
 * the keys of the file. Options that are not given leave what is there. An empty value empties a list.
 */
import type { ServiceSpec } from "../../../admin/index.ts";
import {
  bindList,
  choice,
  findUselessOptions,
  prefixEntry,
  type ServiceOption,
  serviceTable,
  showValue,
} from "../../../config/index.ts";
import { type Excess, findExcess } from "../../../wire/index.ts";
import { CommandFailure, EXIT_WRONG } from "../../invocation.ts";
import { type SpecOptions, UDP_FLAGS } from "./spec-flags.ts";

/** Everything of a specification but the ports. */
export type ServiceRules = Omit<ServiceSpec, "publish">;

/** A zod schema, as far as it is used here. */
interface Field<T> {
  safeParse(value: unknown): {
    readonly success: boolean;
    readonly data?: T;
    readonly error?: { readonly issues: readonly { readonly message: string }[] };
  };
}

const FILE = serviceTable.shape;
const UDP = FILE.udp.unwrap().shape;
/** As in the file. */
const LABEL_KEY = /^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,62}$/;
const MAX_LABEL_LENGTH = 128;
const PREFER = choice(["any", "local", "zone"]);

const LIST_FLAGS: Readonly<Record<Excess["field"], string>> = {
  publish: "--publish",
  acceptProxy: "--accept-proxy",
  allow: "--allow",
  deny: "--deny",
  bind: "--bind",
  nodes: "--node-label",
};

/** The defaults of the file. */
export function defaultRules(): ServiceRules {
  const file = serviceTable.parse({ name: "default", publish: ["1"] });
  return {
    balance: file.balance,
    prefer: "any",
    sendProxy: file.send_proxy,
    acceptProxy: file.accept_proxy,
    allow: file.allow,
    deny: file.deny,
    bind: null,
    nodes: {},
    maxConnections: file.max_connections,
    idleTimeoutMs: file.idle_timeout,
    drainTimeoutMs: file.drain_timeout,
    udp: {
      mode: file.udp.mode,
      idleTimeoutMs: file.udp.idle_timeout,
      maxSessions: file.udp.max_sessions,
      responses: file.udp.responses,
    },
  };
}

/** `current` with the options in it. Throws CommandFailure for the first wrong one. */
export function applyRules(options: SpecOptions, current: ServiceRules): ServiceRules {
  return {
    balance: readOne("--balance", options.balance, FILE.balance) ?? current.balance,
    prefer: readOne("--prefer", options.prefer, PREFER) ?? current.prefer,
    sendProxy: readOne("--send-proxy", options.sendProxy, FILE.send_proxy) ?? current.sendProxy,
    acceptProxy: readPrefixes("--accept-proxy", options.acceptProxy) ?? current.acceptProxy,
    allow: readPrefixes("--allow", options.allow) ?? current.allow,
    deny: readPrefixes("--deny", options.deny) ?? current.deny,
    bind: options.bind === undefined ? current.bind : readBind(options.bind),
    nodes: options.nodeLabel === undefined ? current.nodes : readLabels(options.nodeLabel),
    maxConnections:
      readNumber("--max-connections", options.maxConnections, FILE.max_connections) ?? current.maxConnections,
    idleTimeoutMs: readOne("--idle-timeout", options.idleTimeout, FILE.idle_timeout) ?? current.idleTimeoutMs,
    drainTimeoutMs:
      readOne("--drain-timeout", options.drainTimeout, FILE.drain_timeout) ?? current.drainTimeoutMs,
    udp: {
      mode: readOne("--udp-mode", options.udpMode, UDP.mode) ?? current.udp.mode,
      idleTimeoutMs:
        readOne("--udp-idle-timeout", options.udpIdleTimeout, UDP.idle_timeout) ?? current.udp.idleTimeoutMs,
      maxSessions:
        readNumber("--udp-max-sessions", options.udpMaxSessions, UDP.max_sessions) ?? current.udp.maxSessions,
      responses: readNumber("--udp-responses", options.udpResponses, UDP.responses) ?? current.udp.responses,
    },
  };
}

/** Throws CommandFailure for more than a service may hold, and for an option that can do nothing with its ports. */
export function refuseUseless(options: SpecOptions, spec: ServiceSpec): void {
  const udpFlag = UDP_FLAGS.find(({ key }) => options[key] !== undefined)?.flag;
  const flags: Readonly<Record<ServiceOption, string>> = {
    udp: udpFlag ?? "--udp-mode",
    "udp.idle_timeout": "--udp-idle-timeout",
    "udp.max_sessions": "--udp-max-sessions",
    idle_timeout: "--idle-timeout",
    max_connections: "--max-connections",
    send_proxy: "--send-proxy",
  };
  const given: Readonly<Partial<Record<ServiceOption, unknown>>> = {
    udp: udpFlag,
    idle_timeout: options.idleTimeout,
    max_connections: options.maxConnections,
    send_proxy: spec.sendProxy, // also one that was set before, when a udp port comes along
  };
  const excess = findExcess(spec);
  if (excess !== null) wrong(LIST_FLAGS[excess.field], excess.message);
  const protocols = new Set(spec.publish.map((port) => port.protocol));
  const [first] = findUselessOptions(
    protocols,
    (option) => given[option],
    (option) => flags[option],
  );
  if (first !== undefined) wrong(flags[first.option], first.message);
}

export function wrong(flag: string, message: string): never {
  throw new CommandFailure(`${flag}: ${message}`, EXIT_WRONG);
}

function readOne<T>(flag: string, value: unknown, field: Field<T>): T | undefined {
  if (value === undefined) return undefined;
  const result = field.safeParse(value);
  if (!result.success) wrong(flag, result.error?.issues[0]?.message ?? "wrong");
  return result.data;
}

function readNumber<T>(flag: string, text: string | undefined, field: Field<T>): T | undefined {
  return readOne(flag, text !== undefined && /^\d+$/.test(text) ? Number(text) : text, field);
}

function readPrefixes(flag: string, texts: readonly string[] | undefined): readonly string[] | undefined {
  return texts === undefined
    ? undefined
    : filled(texts).map((text) => readOne(flag, text, prefixEntry) ?? "");
}

function readBind(texts: readonly string[]): readonly string[] | null {
  const rules = filled(texts);
  return rules.length === 0 ? null : (readOne("--bind", rules, bindList) ?? null);
}

function readLabels(texts: readonly string[]): Record<string, string> {
  const pairs = filled(texts).map((text): [string, string] => {
    const [key = "", ...value] = text.split("=");
    const isLabel = LABEL_KEY.test(key) && value.length > 0 && value.join("=").length <= MAX_LABEL_LENGTH;
    if (!isLabel) wrong("--node-label", `${showValue(text)} is not KEY=VALUE`);
    return [key, value.join("=")];
  });
  const keys = pairs.map(([key]) => key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) wrong("--node-label", `${showValue(twice)} is given twice`);
  return Object.fromEntries(pairs);
}

function filled(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => text !== "");
}
