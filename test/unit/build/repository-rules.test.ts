import { expect, test } from "bun:test";
import { findViolations } from "../../../build/repository-rules.ts";

// Put together from pieces, so that this file keeps the rules itself.
const stalePointer = `const p = ${"ptr"}(new Uint8Array(16));`;
const machinePath = `"${["", "home", "somebody", "file"].join("/")}"`;

test.each([
  ["src/sys/a.ts", stalePointer, "take memory from the arena"],
  ["src/proxy/a.ts", 'import { dlopen } from "bun:ffi";', "bun:ffi is for src/sys only"],
  ["src/wire/a.ts", "const now = Date.now();", "pure code"],
  ["src/proxy/balance/a.ts", "return Math.random();", "pure code"],
  ["src/cli/a.ts", `${"export"} default 1;`, "no default exports"],
  ["README.md", machinePath, "somebody's machine"],
  ["src/wire/a.ts", 'import { x } from "../sys/x.ts";', "src/wire must not import src/sys"],
  [
    "src/proxy/tcp/a.ts",
    'import type { X } from "../../config/index.ts";',
    "src/proxy must not import src/config",
  ],
  ["src/admin/a.ts", 'await import("../node/index.ts");', "src/admin must not import src/node"],
])("%s: %s", (path, text, message) => {
  expect(findViolations(path, `// one line\n${text}\n`)).toEqual([
    { line: 2, message: expect.stringContaining(message) },
  ]);
});

test.each([
  ["src/sys/a.ts", 'import { dlopen } from "bun:ffi";'],
  ["src/proxy/tcp/a.ts", 'import { x } from "../../sys/x.ts";'],
  ["src/proxy/tcp/a.ts", 'import { x } from "../worker/x.ts";'],
  ["src/node/a.ts", 'import { x } from "../config/index.ts";'],
  ["src/cli/demo/a.ts", 'import { x } from "../../node/index.ts";'],
  ["src/proxy/tcp/a.ts", "Date.now();"],
  ["README.md", "see src/node/work/a.ts and ./work/a.ts"],
])("%s may say %s", (path, text) => {
  expect(findViolations(path, text)).toEqual([]);
});
