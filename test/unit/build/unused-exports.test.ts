import { expect, test } from "bun:test";
import { findUnusedExports } from "../../../build/unused-exports.ts";

/** "a.ts b" of every export that is found, with " (tests)" behind those that tests use. */
function find(files: Readonly<Record<string, string>>): string[] {
  return findUnusedExports(new Map(Object.entries(files))).map(
    ({ path, name, isUsedByTests }) => `${path} ${name}${isUsedByTests ? " (tests)" : ""}`,
  );
}

const MAIN = "src/main.ts";

test.each([
  ["export const x = 1;", 'import { x } from "./a.ts";'],
  ["export function x() {}", 'import { x as y } from "./a.ts";'],
  ["export async function x() {}", 'import { type T, x } from "./a.ts";'],
  ["export abstract class x {}", 'import * as a from "./a.ts"; a.x;'],
  ["export interface x {}", 'import type { x } from "./a.ts";'],
  ["const y = 1;\nexport { y as x };", 'import { x } from "./a.ts";'],
  ["export let x = 1;", 'const { x } = await import("./a.ts");'],
])("used: %s by %s", (exported, main) => {
  expect(find({ "src/a.ts": exported, [MAIN]: main })).toEqual([]);
});

test.each([
  ["export const x = 1;", ""],
  ["export const x = 1;\nx;", ""],
  ["export class x {}", 'import { y } from "./a.ts"; // x'],
  ["export type x = 1;", 'import { x } from "./b.ts";'],
  ["/** x */\nexport type x = 1; // x", ""],
])("unused: %s with %s", (exported, main) => {
  expect(find({ "src/a.ts": exported, "src/b.ts": "", [MAIN]: main })).toEqual(["src/a.ts x"]);
});

test("a type that belongs to another export may be exported", () => {
  const text = "export interface Options {}\nexport function run(options: Options) {}";
  expect(find({ "src/a.ts": text, [MAIN]: 'import { run } from "./a.ts";' })).toEqual([]);
});

test("an import counts through re-exports; unused ones are found", () => {
  const files = {
    "src/a.ts": "export const x = 1;\nexport const y = 1;\nexport const z = 1;",
    "src/b.ts": 'export { x, y as other, z } from "./a.ts";',
    "src/index.ts": 'export * from "./b.ts";',
  };
  expect(find({ ...files, [MAIN]: 'import { x, other } from "./index.ts";' })).toEqual([
    "src/a.ts z",
    "src/b.ts z",
  ]);
});

test("code of src that only tests use is found, unless its file uses it or it is marked", () => {
  const code = "export const x = 1;\nexport const y = 1;\ny;\nexport const z = 1; // for tests: the limit";
  const files = { "src/a.ts": code, "test/a.test.ts": 'import { x, y, z } from "../src/a.ts";' };
  expect(find(files)).toEqual(["src/a.ts x (tests)"]);
});

test("helpers of tests are for tests", () => {
  const files = {
    "test/support/a.ts": "export const x = 1;\nexport const y = 1;",
    "test/a.test.ts": 'import { x } from "./support/a.ts";',
  };
  expect(find(files)).toEqual(["test/support/a.ts y"]);
});

test("the line is that of the export", () => {
  const text = 'export {\n  x,\n  y,\n} from "./a.ts";';
  const files = new Map([
    ["src/b.ts", text],
    ["src/a.ts", "export const x = 1;\nexport const y = 2;"],
    [MAIN, 'import { x } from "./b.ts";'],
  ]);
  expect(findUnusedExports(files)).toContainEqual({
    path: "src/b.ts",
    name: "y",
    line: 3,
    isUsedByTests: false,
  });
});
