/** Every file in config/ is right: for portmesh, and for an editor that has only the JSON Schema. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { formatProblem, jsonSchema, readConfig } from "../../../src/config/index.ts";

const folder = join(import.meta.dir, "../../../config");
const schemaFile = "portmesh.schema.json";
const examples = readdirSync(folder).filter((name) => /\.(toml|json)$/.test(name) && name !== schemaFile);

/** As another program reads it: TOML through Bun's own parser. */
function plainValue(name: string): unknown {
  const text = readFileSync(join(folder, name), "utf8");
  return name.endsWith(".json") ? JSON.parse(text) : Bun.TOML.parse(text);
}

describe("config/", () => {
  test("has the examples the documentation names", () => {
    expect(examples.toSorted()).toEqual([
      "cluster.toml",
      "dns.toml",
      "everything.json",
      "minimal.toml",
      "portmesh.toml",
    ]);
  });

  test.each(examples)("%s is read without problems", (name) => {
    const result = readConfig(join(folder, name));
    expect("problems" in result ? result.problems.map(formatProblem) : []).toEqual([]);
  });

  const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(jsonSchema());
  test.each(examples)("%s fits the JSON Schema", (name) => {
    validate(plainValue(name));
    expect(validate.errors).toBeNull();
  });

  test("the JSON Schema refuses what portmesh refuses", () => {
    expect(validate({ services: [{ name: "a", publish: ["80"], balanse: "random" }] })).toBe(false);
    expect(validate({ services: [{ name: "a", publish: [] }] })).toBe(false);
  });

  test(`${schemaFile} is up to date: else run \`bun build/schema.ts\``, () => {
    const written = JSON.parse(readFileSync(join(folder, schemaFile), "utf8"));
    expect(written).toEqual(JSON.parse(JSON.stringify(jsonSchema())));
  });

  test("everything.json names every key of the schema, but those that name other files", () => {
    const keysIn = (value: unknown): string[] =>
      typeof value !== "object" || value === null
        ? []
        : Object.entries(value).flatMap(([key, inner]) => [
            ...(Array.isArray(value) ? [] : [key]),
            ...keysIn(inner),
          ]);
    const propertiesIn = (value: unknown): string[] =>
      typeof value !== "object" || value === null
        ? []
        : Object.entries(value).flatMap(([key, inner]) =>
            key === "properties"
              ? [...Object.keys(inner), ...propertiesIn(Object.values(inner))]
              : propertiesIn(inner),
          );
    const named = new Set(keysIn(plainValue("everything.json")));
    expect(propertiesIn(jsonSchema()).filter((key) => !named.has(key))).toEqual([
      "keys_file",
      "tokens_file",
      "tls_cert",
      "tls_key",
    ]);
  });
});
