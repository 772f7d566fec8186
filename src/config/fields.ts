/**
 * The kinds of value a configuration file has, as zod schemas that complain in our words:
 * what was found and what is allowed, to be read after the key.
 */
import { z } from "zod";
import { formatDuration, maxDurationMs, parseDuration } from "./duration.ts";
import { showValue } from "./problem.ts";

export type Parsed<T> = { readonly value: T } | ParseFault;

export interface ParseFault {
  readonly error: string;
  /** `error` holds nothing of the text, so it can be told of a secret. */
  readonly quotesNothing?: true;
}

type Complaint = (issue: z.core.$ZodRawIssue) => string;

/** `what` finishes the sentence `"x" is not ...` and names what is missing. */
function notA(what: string): Complaint {
  return ({ input }) =>
    input === undefined ? `missing: expected ${what}` : `${showValue(input)} is not ${what}`;
}

/** Text with a grammar of its own; `pattern` tells editors about it. */
export function parsedText<T>(what: string, parse: (text: string) => Parsed<T>, pattern?: string) {
  const text = z.string({ error: notA(what) });
  return (pattern === undefined ? text : text.meta({ pattern })).transform((input, context) => {
    const result = parse(input);
    if ("value" in result) return result.value;
    const { error: message, quotesNothing } = result;
    context.addIssue({ code: "custom", message, input, params: { quotesNothing } });
    return z.NEVER;
  });
}

/** Text that `canonical` accepts, in its canonical spelling. */
export function canonicalText(what: string, canonical: (text: string) => string | null, pattern?: string) {
  const parse = (text: string): Parsed<string> => {
    const value = canonical(text);
    return value === null ? { error: `${showValue(text)} is not ${what}` } : { value };
  };
  return parsedText(what, parse, pattern);
}

/** A duration in milliseconds, from `minMs` to maxDurationMs. */
export function duration(minMs: number) {
  const what = 'a duration like "250ms", "30s", "5m" or "1h30m"';
  const parse = (text: string): Parsed<number> => {
    const value = parseDuration(text);
    if (value === null) return { error: `${showValue(text)} is not ${what}` };
    if (value >= minMs && value <= maxDurationMs) return { value };
    const range = `${formatDuration(minMs)}..${formatDuration(maxDurationMs)}`;
    return { error: `${showValue(text)} is outside ${range}` };
  };
  return parsedText(what, parse, "^(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?$");
}

export function integer(min: number, max: number) {
  const what = `a whole number in ${min}..${max}`;
  const error: Complaint = (issue) =>
    Number.isInteger(issue.input) ? `${issue.input} is outside ${min}..${max}` : notA(what)(issue);
  return z.int({ error, abort: true }).min(min, { error }).max(max, { error });
}

export function choice<const T extends string>(options: readonly T[]) {
  return z.enum(options, { error: notA(`one of ${options.join(", ")}`) });
}

export function flag() {
  return z.boolean({ error: notA("true or false") });
}

export function list<T extends z.ZodType>(entry: T) {
  return z.array(entry, { error: notAList });
}

/** One entry without its brackets is the usual mistake. */
const notAList: Complaint = (issue) => {
  const complaint = notA("a list")(issue);
  const isText = typeof issue.input === "string";
  return isText || typeof issue.input === "number"
    ? `${complaint}: write [${showValue(String(issue.input))}]`
    : complaint;
};

export function nonEmptyList<T extends z.ZodType>(entry: T) {
  return list(entry).min(1, { error: "empty: at least one entry is required" });
}

/** Keys and values of node labels: short texts. */
export function labels(what: string) {
  const key = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,62}$/);
  const value = z.string({ error: notA("a text") }).max(128, { error: "longer than 128 characters" });
  return z.record(key, value, {
    error: (issue) =>
      issue.code === "invalid_key"
        ? "not a label: a letter or digit, then letters, digits, '_', '.', '/' or '-', at most 63 characters"
        : notA(what)(issue),
  });
}

/** A table that knows all its keys. The message of an unknown key is the list of known ones: see explain.ts. */
export function table<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : notA("a table")(issue),
  });
}

/** One of several kinds of value; when none fits, the complaint is about all of them. `hint` follows it. */
export function anyOf<T extends readonly z.core.SomeType[]>(
  what: string,
  options: T,
  hint: (input: unknown) => string = () => "",
) {
  return z.union(options, { error: (issue) => notA(what)(issue) + hint(issue.input) });
}
