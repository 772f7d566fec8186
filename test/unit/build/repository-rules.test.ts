import { expect, test } from "bun:test";
import { findImportCycles, findViolations } from "../../../build/repository-rules.ts";

// Put together from pieces, so that this file keeps the rules itself.
const stalePointer = `const p = ${"ptr"}(new Uint8Array(16));`;
const machinePath = `"${["", "home", "somebody", "file"].join("/")}"`;

test.each([
  ["src/sys/a.ts", stalePointer, "take memory from the arena"],
  ["src/proxy/a.ts", 'import { dlopen } from "bun:ffi";', "bun:ffi is for src/sys only"],
  ["src/wire/a.ts", "const now = Date.now();", "pure code"],
  ["src/proxy/balance/a.ts", "return Math.random();", "pure code"],
  ["src/node/a.ts", "setTimeout(() => {}, 1);", "the clock"],
  ["src/node/cluster/a.ts", 'import { systemClock } from "../../sys/clock.ts";', "the clock"],
  ["src/cli/a.ts", 'import { Client } from "undici";', "undici/index.js"],
  ["src/cli/a.ts", 'await fetch("http://portmesh/");', "undici/index.js"],
  ["src/cli/a.ts", `${"export"} default 1;`, "no default exports"],
  ["README.md", machinePath, "a developer's machine"],
  ["src/wire/a.ts", 'import { x } from "../sys/x.ts";', "src/wire must not import src/sys"],
  [
    "src/proxy/tcp/a.ts",
    'import type { X } from "../../config/index.ts";',
    "src/proxy must not import src/config",
  ],
  ["src/admin/a.ts", 'await import("../node/index.ts");', "src/admin must not import src/node"],
  [
    "src/proxy/table/a.ts",
    'import type { X } from "../tcp/x.ts";',
    "must not import src/proxy/tcp/x.ts above it",
  ],
  [
    "src/proxy/tcp/a.ts",
    'import { x } from "../worker/x.ts";',
    "must not import src/proxy/worker/x.ts above it",
  ],
  [
    "src/proxy/udp/a/b.ts",
    'import { x } from "../../tcp/x.ts";',
    "must not import src/proxy/tcp/x.ts above it",
  ],
  [
    "src/proxy/balance/a.ts",
    'export { x } from "../relay/x.ts";',
    "must not import src/proxy/relay/x.ts above it",
  ],
  [
    "src/proxy/worker/a.ts",
    'import { x } from "../proxy.ts";',
    "must not import src/proxy/proxy.ts above it",
  ],
])("%s: %s", (path, text, message) => {
  expect(findViolations(path, `// one line\n${text}\n`)).toEqual([
    { line: 2, message: expect.stringContaining(message) },
  ]);
});

test.each([
  ["src/sys/a.ts", 'import { dlopen } from "bun:ffi";'],
  ["src/proxy/tcp/a.ts", 'import { x } from "../../sys/x.ts";'],
  ["src/proxy/tcp/a.ts", 'import { x } from "../table/x.ts";'],
  ["src/proxy/tcp/relay/a.ts", 'import { x } from "../../relay/x.ts";'],
  ["src/proxy/worker/a.ts", 'import { x } from "../tcp/x.ts";'],
  ["src/proxy/proxy.ts", 'import { x } from "./worker/x.ts";'],
  ["src/node/a.ts", 'import { x } from "../config/index.ts";'],
  ["src/cli/demo/a.ts", 'import { x } from "../../node/index.ts";'],
  ["src/proxy/tcp/a.ts", "Date.now();"],
  ["src/node/run-node.ts", "random: Math.random,"],
  ["README.md", "see src/node/work/a.ts and ./work/a.ts"],
])("%s may say %s", (path, text) => {
  expect(findViolations(path, text)).toEqual([]);
});

function cyclesOf(imports: Readonly<Record<string, readonly string[]>>) {
  const texts = Object.entries(imports).map(
    ([path, targets]) =>
      [path, targets.map((target) => `import type { X } from "${target}";`).join("\n")] as const,
  );
  return findImportCycles(new Map(texts));
}

test("a cycle of files is found and shown whole, by its shortest path", () => {
  expect(
    cyclesOf({
      "src/sys/a.ts": ["./b.ts", "./d.ts"],
      "src/sys/b.ts": ["./c.ts"],
      "src/sys/c.ts": ["./a.ts", "./e.ts"],
      "src/sys/d.ts": ["./b.ts"],
      "src/sys/e.ts": [],
    }),
  ).toEqual(["src/sys/a.ts -> src/sys/b.ts -> src/sys/c.ts -> src/sys/a.ts"]);
});

test("every cycle is found", () => {
  expect(
    cyclesOf({
      "src/sys/a.ts": ["./b.ts"],
      "src/sys/b.ts": ["./a.ts", "./c.ts"],
      "src/sys/c.ts": ["./d.ts"],
      "src/sys/d.ts": ["./c.ts"],
    }).toSorted(),
  ).toEqual(["src/sys/a.ts -> src/sys/b.ts -> src/sys/a.ts", "src/sys/c.ts -> src/sys/d.ts -> src/sys/c.ts"]);
});

test("folders that import each other are a cycle, although no file is in one", () => {
  const imports = {
    "src/node/a/one.ts": ["../b/one.ts"],
    "src/node/b/one.ts": [],
    "src/node/b/two.ts": ["../a/two.ts"],
    "src/node/a/two.ts": [],
  };
  expect(cyclesOf(imports)).toEqual(["src/node/a -> src/node/b -> src/node/a"]);
});

test("a file and a folder beside it are a cycle too", () => {
  expect(
    cyclesOf({ "src/sys/a.ts": ["./b/one.ts"], "src/sys/b/one.ts": [], "src/sys/b/two.ts": ["../a.ts"] }),
  ).toEqual(["src/sys/a.ts -> src/sys/b -> src/sys/a.ts"]);
});

test("what is imported by many, or several times, is no cycle", () => {
  const all = {
    "src/a/a.ts": ["../b/b.ts", "../c/c.ts"],
    "src/b/b.ts": ["../c/c.ts", "../c/c.ts"],
    "src/c/c.ts": [],
  };
  expect(cyclesOf(all)).toEqual([]);
});
