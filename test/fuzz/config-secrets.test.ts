/** Secrets in every place of a configuration file where a person may put one: none of them is ever printed. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "smol-toml";
import { compareConfigs, effectiveConfig, formatProblem, parseConfig } from "../../src/config/index.ts";

/** What would give it away: a quote may be cut short. */
const FRAGMENT_CHARS = 8;

const keyOfBytes = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => Buffer.from(array));
const properKey = fc
  .constantFrom(16, 24, 32)
  .chain(keyOfBytes)
  .map((bytes) => bytes.toString("base64"));
/** Also what is not a key: too short, in hexadecimal, with a line in front, two in one text, a passphrase. */
const secret = fc.oneof(
  properKey,
  fc
    .integer({ min: 6, max: 80 })
    .chain(keyOfBytes)
    .map((bytes) => bytes.toString("base64")),
  keyOfBytes(32).map((bytes) => bytes.toString("hex")),
  properKey.map((key) => `base64:${key}`),
  fc.tuple(properKey, properKey).map((keys) => keys.join(",")),
  fc.stringMatching(/^[!-~]{10,30}$/),
);

/** Where everything below is secret: [cluster] keys, misspelt or in another shape. */
const SECTIONS = ["cluster", "Cluster", "clusters", "cluser", "CLUSTER", "cluster_", "clutser"];
const NAMES = [
  "keys",
  "key",
  "Keys",
  "KEYS",
  "kyes",
  "keyring",
  "cluster.keys",
  "encrypt_key",
  "secret",
  "psk",
];
const shape = (text: string) =>
  fc.constantFrom<unknown>(
    text,
    [text],
    [[text]],
    { key: text },
    { keys: [text] },
    { [text]: true },
    [{ [text]: text }],
    { a: { b: [text] } },
    [text, 5, true],
    [5, text, text],
    `${text}\n`,
  );

function put(section: readonly string[], name: string, value: unknown): Record<string, unknown> {
  const table = name === "" ? value : { [name]: value };
  return section.reduceRight<unknown>((inner, step) => ({ [step]: inner }), table) as Record<string, unknown>;
}

const section = fc.oneof(
  fc.constantFrom(...SECTIONS).map((name) => [name]),
  fc.constantFrom([], ["node"], ["overlay"], ["config", "cluster"], ["gossip"]),
);

function expectHidden(text: string, file: string, secrets: readonly string[]): void {
  const printed = everythingPrinted(text, file);
  for (const hidden of secrets) {
    for (let at = 0; at + FRAGMENT_CHARS <= hidden.length; at += 2) {
      expect(printed).not.toContain(hidden.slice(at, at + FRAGMENT_CHARS));
    }
  }
}

function everythingPrinted(text: string, file: string): string {
  const result = parseConfig(text, file);
  if ("problems" in result) {
    return [JSON.stringify(result), ...result.problems.map(formatProblem)].join("\n");
  }
  const other = parseConfig("services = []", "other.toml");
  if ("problems" in other) throw new Error("the other file is wrong");
  const changes = [compareConfigs(result.config, other.config), compareConfigs(other.config, result.config)];
  const rotated = {
    ...result.config,
    cluster: result.config.cluster && { ...result.config.cluster, keys: [] },
  };
  return JSON.stringify([effectiveConfig(result.config), changes, compareConfigs(result.config, rotated)]);
}

function texts(value: Record<string, unknown>): [string, string][] {
  const files: [string, string][] = [[JSON.stringify(value, null, 1), "a.json"]];
  try {
    files.push([stringify(value), "a.toml"]);
  } catch {
    // TOML cannot say it
  }
  return files;
}

test("whatever is below keys, whatever it is called and wherever it stands", () => {
  const given = secret.chain((text) =>
    fc.record({ text: fc.constant(text), section, name: fc.constantFrom(...NAMES), value: shape(text) }),
  );
  fc.assert(
    fc.property(given, ({ text, section, name, value }) => {
      for (const [contents, file] of texts(put(section, name, value))) expectHidden(contents, file, [text]);
    }),
    { numRuns: 1_500 },
  );
});

test("a key anywhere in the section: as its value, under another key, as the name of a key", () => {
  const names = ["", "name", "join", "bind", "profile", "insecure", "token", "nodes", "kind"];
  const given = properKey
    .filter((key) => key.endsWith("="))
    .chain((text) =>
      fc.record({
        text: fc.constant(text),
        section: fc.constantFrom(...SECTIONS).map((one) => [one]),
        name: fc.constantFrom(...names, text),
        value: shape(text),
      }),
    );
  fc.assert(
    fc.property(given, ({ text, section, name, value }) => {
      for (const [contents, file] of texts(put(section, name, value))) expectHidden(contents, file, [text]);
    }),
    { numRuns: 1_500 },
  );
});

test("a key in a file that is cut off, has a character too many, or is no table at all", () => {
  const damage = fc.tuple(
    fc.nat(400),
    fc.constantFrom("", '"', "\n", "\0", "\\u00", "=", "[", "}", "\uD800", "#"),
  );
  fc.assert(
    fc.property(properKey, damage, fc.constantFrom("a.toml", "a.json"), (key, [at, insert], file) => {
      const value = {
        node: { name: "edge-1" },
        cluster: { name: "prod", keys: [key, key], join: ["10.0.0.1"] },
      };
      const text = file === "a.json" ? JSON.stringify(value) : stringify(value);
      const start = at % text.length;
      expectHidden(text.slice(0, start) + insert + text.slice(start), file, [key]);
      expectHidden(text.slice(0, start) + insert, file, [key]);
    }),
    { numRuns: 1_500 },
  );
  for (const key of fc.sample(properKey, 20)) {
    for (const value of [key, [key], [[key]], [{ cluster: { keys: key } }]]) {
      expectHidden(JSON.stringify(value), "a.json", [key]);
    }
  }
});

test("the value of a variable that is named like a secret, in any value of a file", () => {
  const name = fc.constantFrom("KEY", "DB_PASSWORD", "API_TOKEN", "a_secret_b");
  const place = fc.constantFrom<(text: unknown) => object>(
    (text) => ({ node: { name: text } }),
    (text) => ({ node: { labels: { a: text } } }),
    (text) => ({ node: { advertise: text, data_dir: text } }),
    (text) => ({ cluster: { name: text, join: [text], bind: text, insecure: text } }),
    (text) => ({ cluster: { keys: [text] } }),
    (text) => ({ cluster: { keys_file: text } }),
    (text) => ({ overlay: { subnet: text }, proxy: { workers: text, bind: [text] }, log: { level: text } }),
    (text) => ({ services: [{ name: "a", publish: [text], tasks: [{ address: text, weight: text }] }] }),
    (text) => ({ services: [1, 2].map(() => ({ name: text, publish: ["80"], tasks: ["1.2.3.4", text] })) }),
    (text) => ({ services: { a: { b: text } } }),
  );
  const value = fc.constantFrom(
    (reference: string): unknown => reference,
    (reference: string) => `a ${reference}`,
    (reference: string) => [reference],
    (reference: string) => ({ a: reference }),
  );
  fc.assert(
    fc.property(secret, name, place, value, (text, variable, put, shape) => {
      const around = {
        environment: { [variable]: text },
        readKeys: (path: string) => ({ unreadable: `cannot read ${path}: it does not exist` }),
        readTokens: (path: string) => ({ unreadable: `cannot read ${path}: it does not exist` }),
        readTls: (path: string) => ({
          unreadable: `cannot read ${path}: it does not exist`,
          key: "tls_cert" as const,
        }),
      };
      for (const [contents, file] of texts(put(shape(`\${${variable}}`)) as Record<string, unknown>)) {
        const result = parseConfig(contents, file, undefined, around);
        const printed =
          "problems" in result
            ? JSON.stringify(result.problems) + result.problems.map(formatProblem).join("\n")
            : JSON.stringify(effectiveConfig(result.config, result.secrets));
        for (let at = 0; at + FRAGMENT_CHARS <= text.length; at += 2) {
          expect(printed).not.toContain(text.slice(at, at + FRAGMENT_CHARS));
        }
      }
    }),
    { numRuns: 1_500 },
  );
});
