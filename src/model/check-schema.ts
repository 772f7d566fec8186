/**
 * The rules of health checks: one table of the file with the keys of all types; a key that its type does not have is
 * refused.
 */
import { z } from "zod";
import { canonicalHost } from "./address.ts";
import { CHECK_TYPES, type Check, type CheckType } from "./check.ts";
import { canonicalText, choice, integer, list, notA, type Parsed, parsedText } from "./fields.ts";
import { MAX_DURATION_MS, MAX_PORT } from "./limits.ts";
import { showValue } from "./show-value.ts";

const MIN_INTERVAL_MS = 100;
const MAX_COUNT = 100;
const MAX_TEXT_LENGTH = 1_024;
const MAX_ARGUMENTS = 64;
const MAX_HEADERS = 32;
/** Of a check as JSON: with the lists of its service it fits into a record. */
const MAX_CHECK_BYTES = 8 * 1024;
const HEX = /^hex:(?:[0-9a-fA-F]{2})+$/;
/** RFC 9110 §5.6.2 */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const STATUS = /^[1-5]\d\d(?:-[1-5]\d\d)?(?:,[1-5]\d\d(?:-[1-5]\d\d)?)*$/;
const HTTP_METHODS = ["GET", "HEAD", "OPTIONS", "POST"] as const;

const CHECK_DEFAULTS = { intervalMs: 2_000, timeoutMs: 1_000, rise: 2, fall: 3, port: null } as const;
const HTTP_DEFAULTS = { method: "GET", path: "/", host: null, headers: {}, status: "200-399" } as const;

/** Of every type, beside those of its own. */
const TIMING_KEYS = ["type", "intervalMs", "timeoutMs", "rise", "fall"];
const KEYS_OF: Readonly<Record<CheckType, readonly string[]>> = {
  tcp: ["port"],
  http: ["port", "method", "path", "host", "headers", "status"],
  "send-expect": ["port", "send", "expect"],
  udp: ["port", "send", "expect"],
  exec: ["command"],
};

const path = parsedText('a path like "/healthz"', (text): Parsed<string> => {
  if (!text.startsWith("/")) return { error: `${showValue(text)} does not start with "/"` };
  if (!/^[\x21-\x7e]+$/.test(text))
    return { error: `${showValue(text)} is not printable ASCII without spaces` };
  return text.length > MAX_TEXT_LENGTH ? tooLong(text) : { value: text };
});

const hostHeader = canonicalText('a host like "example.org" or "example.org:8080"', (text) => {
  const [, name = "", port = "1"] = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isPort = Number(port) >= 1 && Number(port) <= MAX_PORT;
  return isPort && canonicalHost(name.replace(/^\[|\]$/g, "")) !== null ? text : null;
});

const status = z.preprocess(
  (input) => (Number.isInteger(input) ? String(input) : input),
  parsedText('a status like "200", "200-399" or "200,204"', (text): Parsed<string> => {
    const value = text.replaceAll(" ", "");
    if (!STATUS.test(value) || parseStatus(value).some(([first, last]) => first > last))
      return { error: `${showValue(text)} is not a status like "200", "200-399" or "200,204"` };
    return value.length > MAX_TEXT_LENGTH ? tooLong(text) : { value };
  }),
);

const payload = parsedText('a text, or bytes like "hex:0d0a"', (text): Parsed<string> => {
  if (text.startsWith("hex:") && !HEX.test(text))
    return { error: `${showValue(text)}: after "hex:" two hexadecimal digits per byte are expected` };
  return text.length > MAX_TEXT_LENGTH ? tooLong(text) : { value: text };
});

const headerValue = z
  .string({ error: notA("a string") })
  .max(MAX_TEXT_LENGTH, { error: `longer than ${MAX_TEXT_LENGTH} characters` })
  .regex(/^[\t\x20-\x7e]*$/, { error: "contains characters that a header must not have" });
const headerName = z.string().regex(TOKEN);
const headers = z
  .record(headerName, headerValue, {
    error: (issue) =>
      issue.code === "invalid_key" ? "not the name of a header" : notA("a table of headers")(issue),
  })
  .refine((table) => Object.keys(table).length <= MAX_HEADERS, { error: `more than ${MAX_HEADERS} headers` });

const argument = parsedText("a string", (text): Parsed<string> => {
  if (text.includes("\0")) return { error: `${showValue(text)} contains a NUL character` };
  return text.length > 4 * MAX_TEXT_LENGTH ? tooLong(text, 4 * MAX_TEXT_LENGTH) : { value: text };
});
const command = list(argument)
  .min(1, { error: "empty: the program and its arguments are expected" })
  .max(MAX_ARGUMENTS, { error: `more than ${MAX_ARGUMENTS} arguments` })
  .refine(([program]) => program === undefined || program.startsWith("/"), {
    error: 'the program needs its whole path, like "/usr/bin/pg_isready"',
  });

/** Every key of every type, as the model spells them: each by itself. */
export const checkFields = {
  type: choice(CHECK_TYPES),
  intervalMs: integer(MIN_INTERVAL_MS, MAX_DURATION_MS),
  timeoutMs: integer(1, MAX_DURATION_MS),
  rise: integer(1, MAX_COUNT),
  fall: integer(1, MAX_COUNT),
  port: integer(1, MAX_PORT),
  method: choice(HTTP_METHODS),
  path,
  host: hostHeader,
  headers,
  status,
  send: payload,
  expect: payload,
  command,
};
export const MIN_CHECK_INTERVAL_MS = MIN_INTERVAL_MS;

/** Keys that are given, in the model's spelling. */
export interface GivenCheck {
  readonly type: CheckType;
  readonly [key: string]: unknown;
}

/** With the defaults of its type; or the key that is wrong, and why. */
export function buildCheck(
  given: GivenCheck,
): { readonly check: Check } | { readonly key: string; readonly message: string } {
  const { type } = given;
  const allowed = [...TIMING_KEYS, ...KEYS_OF[type]];
  const values = Object.fromEntries(Object.entries(given).filter(([, value]) => value != null));
  const foreign = Object.keys(values).find((key) => !allowed.includes(key));
  if (foreign !== undefined) return { key: foreign, message: foreignKey(foreign, type) };
  const missing = requiredOf(type).find((key) => values[key] === undefined);
  if (missing !== undefined) return { key: missing, message: `missing: a check of type "${type}" needs it` };
  if (type === "send-expect" && values.expect === "")
    return { key: "expect", message: "empty: what the answer has to contain is expected" };
  const defaults = Object.fromEntries(
    Object.entries({ ...CHECK_DEFAULTS, ...typeDefaults(type) }).filter(([key]) => allowed.includes(key)),
  );
  const check = { ...defaults, ...values } as unknown as Check;
  const bytes = checkBytes(check);
  return bytes > MAX_CHECK_BYTES
    ? { key: "type", message: `a check of ${bytes} bytes: ${MAX_CHECK_BYTES} are allowed` }
    : { check };
}

/** "200-399,404" -> [[200, 399], [404, 404]] */
export function parseStatus(status: string): readonly (readonly [first: number, last: number])[] {
  return status.split(",").map((range) => {
    const [first = "0", last = first] = range.split("-");
    return [Number(first), Number(last)];
  });
}

/** What `send` and `expect` stand for. */
export function payloadBytes(text: string): Uint8Array {
  return HEX.test(text) ? Uint8Array.fromHex(text.slice(4)) : new TextEncoder().encode(text);
}

/** Of its record. */
export function checkBytes(check: Check | null): number {
  return check === null ? 0 : Buffer.byteLength(JSON.stringify(check));
}

/** "http, every 2s" */
export function describeCheck(check: Check): string {
  switch (check.type) {
    case "http":
      return `http ${check.method} ${check.path}`;
    case "exec":
      return `exec ${check.command.join(" ")}`;
    default:
      return check.type;
  }
}

function requiredOf(type: CheckType): readonly string[] {
  if (type === "send-expect") return ["expect"];
  if (type === "udp") return ["send"];
  return type === "exec" ? ["command"] : [];
}

function typeDefaults(type: CheckType): object {
  if (type === "http") return HTTP_DEFAULTS;
  if (type === "send-expect") return { send: "" };
  return type === "udp" ? { expect: null } : {};
}

function foreignKey(key: string, type: CheckType): string {
  const types = CHECK_TYPES.filter((other) => KEYS_OF[other].includes(key));
  return `has no effect on a check of type "${type}": only on ${types.map((other) => `"${other}"`).join(", ")}`;
}

function tooLong(text: string, most = MAX_TEXT_LENGTH): { readonly error: string } {
  return { error: `${text.length} characters: at most ${most} are allowed` };
}

/** A check in the model's spelling, as requests and records have it. */
export function checkSchema<T extends z.ZodType>(shape: (fields: z.core.$ZodLooseShape) => T) {
  const optional = Object.fromEntries(
    Object.entries(checkFields).map(([key, field]) => [key, key === "type" ? field : field.nullish()]),
  );
  return shape(optional).transform((given, context): Check => {
    const built = buildCheck(given as unknown as GivenCheck);
    if ("check" in built) return built.check;
    context.addIssue({ code: "custom", message: built.message, path: [built.key] });
    return z.NEVER;
  });
}
