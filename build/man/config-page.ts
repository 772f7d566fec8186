/** portmesh.toml(5), from the JSON Schema and, for the examples, from the file that has every key. */
import type { PageOptions } from "./command-page.ts";
import { escapeLine, example, item, title } from "./roff.ts";

export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

export interface ConfigPageSources {
  readonly schema: Schema;
  /** Configurations that together have every key; the first that has one gives its example. */
  readonly examples: readonly unknown[];
  /** A file that is complete and short. */
  readonly minimal: string;
}

export function configPage(
  { schema, examples, minimal }: ConfigPageSources,
  { date, version }: PageOptions,
): string {
  const tables = Object.entries(schema.properties ?? {});
  const lines = [
    title("PORTMESH.TOML", 5, date, `portmesh ${version}`, "File Formats"),
    ".ad l", // blanks in examples stay as they are
    ".SH NAME",
    "portmesh.toml \\- configuration file of portmesh",
    ".SH DESCRIPTION",
    "The configuration of one node.",
    "It is TOML, or JSON when the name of the file ends in .json.",
    "The node applies the file when it is saved; a file with an error changes nothing.",
    ".B portmesh check",
    "prints every error, and",
    ".B portmesh config",
    "prints the file with every default.",
    ".PP",
    "Durations are written 250ms, 30s, 1m30s or 24h.",
    ".PP",
    "A short file:",
    ...example(minimal.trim().split("\n")),
    ...tables.flatMap(([name, table]) => {
      const isList = table.items !== undefined;
      const keys = table.items ?? table;
      return [
        `.SH ${isList ? `[[${name}]]` : `[${name}]`}`,
        ...(table.description === undefined ? [] : [escapeLine(table.description)]),
        ...describeKeys(
          name,
          keys,
          examples.map((each) => valuesAt(each, name)),
        ),
      ];
    }),
    ".SH FILES",
    ...item("/etc/portmesh/portmesh.toml", ["where the node looks for the file when no other is named"]),
    ".SH SEE ALSO",
    ".BR portmesh (1)",
  ];
  return `${lines.join("\n")}\n`;
}

function describeKeys(path: string, table: Schema, value: unknown): string[] {
  return Object.entries(table.properties ?? {}).flatMap(([key, schema]) => {
    const name = `${path}.${key}`;
    const found = valuesAt(value, key);
    const isRequired = table.required?.includes(key) ?? false;
    const nested = [schema, ...(schema.items?.anyOf ?? [])].filter((each) => each.properties !== undefined);
    return [
      ...item(name, describeKey(key, schema, found[0], isRequired)),
      ...nested.flatMap((each) => describeKeys(name, each, found)),
    ];
  });
}

function describeKey(key: string, schema: Schema, found: unknown, isRequired: boolean): string[] {
  const facts = [
    isRequired ? "Required." : null,
    schema.enum === undefined ? null : `One of: ${schema.enum.join(", ")}.`,
    schema.minimum === undefined ? null : `From ${schema.minimum} to ${schema.maximum}.`,
    schema.default === undefined || schema.properties !== undefined
      ? null
      : `Default: ${inlineToml(schema.default)}.`,
  ].filter((fact) => fact !== null);
  return [
    ...(schema.description === undefined ? [] : [escapeLine(schema.description)]),
    ...facts.flatMap((fact) => [".br", escapeLine(fact)]),
    ...(found === undefined || schema.properties !== undefined
      ? []
      : [".br", escapeLine(`Example: ${key} = ${inlineToml(found)}`)]),
  ];
}

/** Of a list, what each of its entries with this key has. */
function valuesAt(value: unknown, key: string): unknown[] {
  const entries: unknown[] = [value].flat(Number.POSITIVE_INFINITY);
  return entries.flatMap((entry) =>
    typeof entry === "object" && entry !== null && key in entry ? [Reflect.get(entry, key)] : [],
  );
}

function inlineToml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inlineToml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, each]) => `${key} = ${inlineToml(each)}`);
  return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
}
