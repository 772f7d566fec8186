/**
 * The options of a health check -> the check, by the same rules as the table `check` of the file. Those that are not given
 * keep what is there while the type stays.
 */
import type { Command } from "commander";
import {
  buildCheck,
  CHECK_TYPES,
  type Check,
  type CheckType,
  checkFields,
  duration,
  MIN_CHECK_INTERVAL_MS,
} from "../../../model/index.ts";
import { collect } from "../options.ts";
import { type Field, readNumber, readOne, wrong } from "./read-option.ts";

/** As commander hands them over. */
export interface HealthOptions {
  readonly healthType?: string;
  readonly healthInterval?: string;
  readonly healthTimeout?: string;
  readonly healthRise?: string;
  readonly healthRetries?: string;
  readonly healthPort?: string;
  readonly healthMethod?: string;
  readonly healthPath?: string;
  readonly healthHost?: string;
  readonly healthHeader?: readonly string[];
  readonly healthStatus?: string;
  readonly healthSend?: string;
  readonly healthExpect?: string;
  /** As Docker's: a line for the shell. */
  readonly healthCmd?: string;
  /** false: --no-healthcheck; commander sets it to true otherwise. */
  readonly healthcheck?: boolean;
}

interface HealthFlag {
  readonly option: Exclude<keyof HealthOptions, "healthcheck" | "healthType">;
  readonly flag: string;
  readonly value: string;
  readonly help: string;
  /** In the model. */
  readonly key: string;
  readonly read: (flag: string, value: never) => unknown;
}

const number = (field: Field<number>) => (flag: string, value: string) => readNumber(flag, value, field);
const text =
  <T>(field: Field<T>) =>
  (flag: string, value: string) =>
    readOne(flag, value, field);

const FLAGS: readonly HealthFlag[] = [
  flagOf(
    "healthInterval",
    "duration",
    "from one probe to the next",
    "intervalMs",
    text(duration(MIN_CHECK_INTERVAL_MS)),
  ),
  flagOf(
    "healthTimeout",
    "duration",
    "a probe without an answer fails after this",
    "timeoutMs",
    text(duration(1)),
  ),
  flagOf(
    "healthRise",
    "count",
    "successes in a row that make a task healthy again",
    "rise",
    number(checkFields.rise),
  ),
  flagOf(
    "healthRetries",
    "count",
    "failures in a row that make a task unhealthy",
    "fall",
    number(checkFields.fall),
  ),
  flagOf("healthPort", "port", "port that is probed", "port", number(checkFields.port)),
  flagOf("healthMethod", "method", "http: GET, HEAD, OPTIONS or POST", "method", text(checkFields.method)),
  flagOf("healthPath", "path", "http: path", "path", text(checkFields.path)),
  flagOf("healthHost", "host", "http: Host header", "host", text(checkFields.host)),
  flagOf("healthHeader", "name=value", "http: one more header; repeatable", "headers", readHeaders),
  flagOf("healthStatus", "status", "http: 200, 200-399 or 200,204", "status", text(checkFields.status)),
  flagOf("healthSend", "text", "send-expect, udp: what is sent", "send", text(checkFields.send)),
  flagOf(
    "healthExpect",
    "text",
    "send-expect, udp: what the answer contains",
    "expect",
    text(checkFields.expect),
  ),
  flagOf("healthCmd", "command", "exec, as in Docker: a command line for /bin/sh", "command", readCommand),
];

export function withHealthOptions(command: Command): Command {
  command.option("--health-type <type>", `health check: ${CHECK_TYPES.join(", ")}`);
  for (const { option, flag, value, help } of FLAGS) {
    if (option === "healthHeader") command.option(`${flag} <${value}>`, help, collect);
    else command.option(`${flag} <${value}>`, help);
  }
  return command.option("--no-healthcheck", "check no more");
}

/** Throws CommandFailure for the first wrong one. */
export function applyHealth(options: HealthOptions, current: Check | null): Check | null {
  const given = FLAGS.filter(({ option }) => options[option] !== undefined);
  const first = options.healthType === undefined ? given[0]?.flag : "--health-type";
  if (options.healthcheck === false) {
    return first === undefined ? null : wrong(first, "cannot be combined with --no-healthcheck");
  }
  if (first === undefined) return current;
  const type = typeOf(options, current, first);
  const values = given.map(({ option, flag, key, read }) => [key, read(flag, options[option] as never)]);
  const built = buildCheck({ ...keptOf(current, type), ...Object.fromEntries(values), type });
  if ("check" in built) return built.check;
  return wrong(FLAGS.find(({ key }) => key === built.key)?.flag ?? "--health-type", built.message);
}

function typeOf({ healthType, healthCmd }: HealthOptions, current: Check | null, first: string): CheckType {
  const named = readOne("--health-type", healthType, checkFields.type);
  const type = named ?? (healthCmd === undefined ? current?.type : "exec");
  return type ?? wrong(first, `needs --health-type: ${CHECK_TYPES.join(", ")}`);
}

/** Of another type only what every type has. */
function keptOf(current: Check | null, type: CheckType): object {
  if (current === null || current.type === type) return current ?? {};
  const { intervalMs, timeoutMs, rise, fall } = current;
  return { intervalMs, timeoutMs, rise, fall };
}

function readCommand(flag: string, line: string): unknown {
  return readOne(flag, ["/bin/sh", "-c", line], checkFields.command);
}

function readHeaders(flag: string, texts: readonly string[]): unknown {
  const pairs = texts.filter(Boolean).map((pair) => {
    const [name = "", ...value] = pair.split("=");
    return value.length === 0
      ? wrong(flag, `${JSON.stringify(pair)} is not NAME=VALUE`)
      : [name, value.join("=")];
  });
  return readOne(flag, Object.fromEntries(pairs), checkFields.headers);
}

function flagOf(
  option: HealthFlag["option"],
  value: string,
  help: string,
  key: string,
  read: (flag: string, value: never) => unknown,
): HealthFlag {
  const flag = `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return { option, flag, value, help, key, read };
}
