/** The configuration file as JSON Schema (draft 2020-12), for editors and for checks outside portmesh. */
import { z } from "zod";
import { fileSchema } from "./schema.ts";

type Schema = Record<string, unknown>;

/** Kept beside the alternatives, where editors look for them. */
const NOTES: ReadonlySet<string> = new Set(["description", "default"]);
/** A string with a variable in it, in the place of any plain value. */
const WITH_VARIABLE = { type: "string", pattern: "\\$\\{" } as const;

export function jsonSchema(): object {
  return allowVariables(z.toJSONSchema(fileSchema, { io: "input", target: "draft-2020-12" }) as Schema);
}

function allowVariables(schema: Schema): Schema {
  if (isRestricted(schema)) {
    const entries = Object.entries(schema);
    const [notes, rule] = [true, false].map((isNote) => entries.filter(([key]) => NOTES.has(key) === isNote));
    return { ...Object.fromEntries(notes!), anyOf: [Object.fromEntries(rule!), WITH_VARIABLE] };
  }
  return mapValues(schema, (value, key) => {
    if (key === "properties") return mapValues(value as Schema, (inner) => allowVariables(inner as Schema));
    if (Array.isArray(value)) return key === "anyOf" ? value.map(allowVariables) : value;
    const isSchema = key === "items" || key === "additionalProperties";
    return isSchema && typeof value === "object" && value !== null ? allowVariables(value as Schema) : value;
  });
}

/** A plain value that a text with a variable would not fit. */
function isRestricted({ type, enum: choices, pattern, maxLength }: Schema): boolean {
  if (type === "integer" || type === "number" || type === "boolean") return true;
  return type === "string" && [choices, pattern, maxLength].some((limit) => limit !== undefined);
}

function mapValues(table: Schema, map: (value: unknown, key: string) => unknown): Schema {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, map(value, key)]));
}
