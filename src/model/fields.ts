/**
 * The kinds of value that files, requests and records have, as zod schemas. Their messages say what was found and what is
 * allowed, and read after the key.
 */
import { z } from "zod";
import { DURATION_PATTERN, formatDuration, parseDuration } from "./duration.ts";
import { findLabelFault, LABEL_KEY_PATTERN } from "./labels.ts";
import { MAX_DURATION_MS, MAX_LABEL_VALUE_LENGTH, MAX_LIST_ENTRIES } from "./limits.ts";
import { showValue } from "./show-value.ts";

export type Parsed<T> = { readonly value: T } | ParseFault;

export interface ParseFault {
  readonly error: string;
  /** `error` quotes nothing of the text, so it can be shown where the text is a secret. */
  readonly quotesNothing?: true;
}

type Complaint = (issue: z.core.$ZodRawIssue) => string;

/** `what` finishes the sentence `"x" is not ...` and names what is missing. */
export function notA(what: string): Complaint {
  return ({ input }) =>
    input === undefined ? `missing: expected ${what}` : `${showValue(input)} is not ${what}`;
}

/** Text with a grammar of its own; `pattern` describes it to editors. */
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

/** A duration in milliseconds, from `minMs` to MAX_DURATION_MS. */
export function duration(minMs: number) {
  const what = 'a duration like "250ms", "30s", "5m" or "1h30m"';
  const parse = (text: string): Parsed<number> => {
    const value = parseDuration(text);
    if (value === null) return { error: `${showValue(text)} is not ${what}` };
    if (value >= minMs && value <= MAX_DURATION_MS) return { value };
    const range = `${formatDuration(minMs)}..${formatDuration(MAX_DURATION_MS)}`;
    return { error: `${showValue(text)} is outside ${range}` };
  };
  return parsedText(what, parse, DURATION_PATTERN);
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

/** At most MAX_LIST_ENTRIES of them. */
export function shortList<T extends z.ZodType>(entry: T) {
  return list(entry).max(MAX_LIST_ENTRIES, {
    error: ({ input }) => `${lengthOf(input)} entries: at most ${MAX_LIST_ENTRIES} are allowed`,
  });
}

export function nonEmptyList<T extends z.ZodType>(entry: T) {
  return list(entry).min(1, { error: "empty: at least one entry is required" });
}

/** Labels of a node, or a selector of nodes. */
export function labels() {
  const key = z.string().regex(new RegExp(LABEL_KEY_PATTERN));
  const value = z
    .string({ error: notA("a string") })
    .max(MAX_LABEL_VALUE_LENGTH, { error: `longer than ${MAX_LABEL_VALUE_LENGTH} characters` });
  const table = z
    .record(key, value, {
      error: (issue) => (issue.code === "invalid_key" ? NOT_A_LABEL : notA("a table of labels")(issue)),
    })
    .superRefine((table, context) => complain(context, findLabelFault(table)));
  return z.preprocess(refuseProto, table);
}

const NOT_A_LABEL =
  "not a label: a letter or digit, then letters, digits, '_', '.', '/' or '-', at most 63 characters";

/** zod's records leave out this key without a word. */
function refuseProto<T>(input: T, context: z.RefinementCtx): T {
  const hasProto = typeof input === "object" && input !== null && Object.hasOwn(input, "__proto__");
  if (hasProto) complain(context, NOT_A_LABEL, ["__proto__"]);
  return input;
}

/** Adds an issue of our own words; null: nothing is wrong. */
export function complain(context: z.RefinementCtx, message: string | null, path: string[] = []): void {
  if (message === null) return;
  context.addIssue({ code: "custom", message, path, params: { quotesNothing: true } });
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

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

/** "spec.publish[0].target: 70000 is outside 1..65535"; the first of several faults. */
export function describeFault(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "wrong";
  const path = issue.path.reduce<string>(
    (text, step) =>
      text + (typeof step === "number" ? `[${step}]` : `${text === "" ? "" : "."}${String(step)}`),
    "",
  );
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}
