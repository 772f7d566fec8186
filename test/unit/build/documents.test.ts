/** The documents: short where a newcomer reads, and true about links, files, keys, defaults and examples. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { compareConfigs, jsonSchema } from "../../../src/config/index.ts";
import { configOf, problemsOf } from "../config/problems-of.ts";

const ROOT = join(import.meta.dir, "../../..");
const MAX_README_LINES = 150;
const PATTERNS = ["*.md", ...["build", "config", "src", "test"].map((folder) => `${folder}/**/*.md`)];
const documents = PATTERNS.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)]).sort();
/** Folders that are not in the repository. */
const MADE = ["dist/", "dist/bench/"];
const keyDocument = read("config/README.md");

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function withoutCode(text: string): string {
  return text.replace(/^```.*?^```$/gms, "");
}

/** Of fenced blocks in this language. */
function blocks(path: string, language: string): string[] {
  return [...read(path).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, text]) => text!,
  );
}

describe("README.md", () => {
  test(`has at most ${MAX_README_LINES} lines`, () => {
    expect(read("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(MAX_README_LINES);
  });
});

describe("relative links", () => {
  test("there are documents", () => expect(documents).toContain("config/README.md"));

  test.each(documents)("of %s lead to a file and a heading", (path) => {
    const links = [...withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
    const relativeLinks = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(relativeLinks.filter((link) => !resolves(path, link))).toEqual([]);
  });
});

function resolves(from: string, link: string): boolean {
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? from : relative(ROOT, join(ROOT, dirname(from), file));
  if (!existsSync(join(ROOT, target))) return false;
  return (
    anchor === undefined || (statSync(join(ROOT, target)).isFile() && anchorsOf(target).includes(anchor))
  );
}

/** As GitHub makes them of headings. */
function anchorsOf(path: string): string[] {
  return [...withoutCode(read(path)).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("files that a document names", () => {
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync(ROOT)];
  const names = new Set(sources.map((path) => basename(path)));

  /** A path from the root, from src or from the document's folder; or the name of a file somewhere in src. */
  function exists(from: string, name: string): boolean {
    return ["", "src", dirname(from)].some((base) => existsSync(join(ROOT, base, name))) || names.has(name);
  }

  test.each(documents)("of %s exist", (path) => {
    const named = [...withoutCode(read(path)).matchAll(/`([\w./-]+(?:\.tsx?|[\w-]\/))`/g)].map(
      ([, name]) => name!,
    );
    expect(named.filter((name) => !exists(path, name) && !MADE.includes(name))).toEqual([]);
  });
});

describe("examples of the documents", () => {
  test.each(
    ["README.md", "config/README.md", "src/overlay/README.md"].flatMap((path) =>
      blocks(path, "toml").map((text, index): [string, string] => [`${path}, example ${index + 1}`, text]),
    ),
  )("%s is a valid configuration file", (_, text) => {
    expect(problemsOf(text, undefined, { environment: { ZONE: "eu-1" } })).toEqual([]);
  });
});

interface Row {
  readonly key: string;
  readonly default: string;
  readonly appliedBy: string | undefined;
}

interface Key {
  readonly name: string;
  readonly schema: { readonly default?: unknown };
}

/** Rows of the tables of keys. */
function documentedKeys(): Row[] {
  const tables = [...keyDocument.matchAll(/^\| key \|(.*)\n\|[ |-]+\n((?:\|.*\n)+)/gm)];
  return tables.flatMap(([, head, rows]) =>
    rows!
      .trim()
      .split("\n")
      .map((row): Row => {
        const cells = row.split(" | ").map((cell) => cell.replace(/^\| |\s*\|$/g, "").trim());
        return {
          key: cells[0]!.replaceAll("`", ""),
          default: cells[1]!,
          appliedBy: head!.includes("applied by") ? cells[3] : undefined,
        };
      }),
  );
}

/** "node.name", "udp.mode" of a service: every key of the file that holds a value. */
function schemaKeys(schema: object, prefix = ""): Key[] {
  const { properties, items, anyOf } = schema as {
    properties?: Record<string, object>;
    items?: object;
    anyOf?: object[];
  };
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, inner]) => {
      const path = `${prefix}${name}`;
      const below = schemaKeys(inner, path === "services" ? "" : `${path}.`);
      const isTable = "properties" in inner || path === "services";
      return isTable ? below : [{ name: path, schema: inner }, ...below];
    });
  }
  return [...(anyOf ?? []), ...(items === undefined ? [] : [items])].flatMap((part) =>
    schemaKeys(part, prefix),
  );
}

function keysOf(value: unknown, prefix = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((entry) => keysOf(entry, prefix));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const path = `${prefix}${name}`;
    return [path, ...keysOf(inner, path === "services" ? "" : `${path}.`)];
  });
}

describe("config/README.md", () => {
  const documented = documentedKeys();
  const keys = schemaKeys(jsonSchema());
  const examples = blocks("config/README.md", "toml");

  test("has every key of the schema, and no other", () => {
    expect(documented.map(({ key }) => key).toSorted()).toEqual(keys.map(({ name }) => name).toSorted());
  });

  test("has an example of every key", () => {
    const shown = new Set(examples.flatMap((text) => keysOf(Bun.TOML.parse(text))));
    expect(keys.map(({ name }) => name).filter((name) => !shown.has(name))).toEqual([]);
  });

  test("has the defaults of the schema", () => {
    const wrong = keys.filter(({ name, schema }) => {
      const text = documented.find(({ key }) => key === name)?.default ?? "";
      return schema.default !== undefined && text !== `\`${tomlText(schema.default)}\``;
    });
    expect(wrong).toEqual([]);
  });

  test("says which keys need a restart", () => {
    const [node = ""] = examples;
    const config = configOf(node);
    const tls = { certFile: "/cert", keyFile: "/key", cert: "", key: "", digest: "" };
    const named = {
      ...config,
      cluster: { ...config.cluster!, keysFile: "/keys" },
      admin: { ...config.admin, http: { ...config.admin.http!, tokensFile: "/tokens", tls } },
    };
    const { settings } = compareConfigs(configOf("[cluster]\ninsecure = true"), named);
    const told = documented.flatMap(({ key, appliedBy }) =>
      appliedBy === undefined ? [] : [`${key} ${appliedBy}`],
    );
    const actual = settings.map(({ key, needsRestart }) => `${key} ${needsRestart ? "restart" : "reload"}`);
    expect(actual.toSorted()).toEqual(told.toSorted());
  });
});

function tomlText(value: unknown): string {
  return JSON.stringify(value).replaceAll(",", ", ");
}
