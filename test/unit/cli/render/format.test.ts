import { expect, test } from "bun:test";
import { formatAge, formatBytes } from "../../../../src/cli/render/format.ts";

test.each([
  [0, "0s"],
  [999, "0s"],
  [61_000, "1m1s"],
  [60_000, "1m"],
  [3_600_000 + 59_000, "1h"],
  [3 * 86_400_000 + 4 * 3_600_000 + 5, "3d4h"],
])("formatAge(%p) is %s", (ms, text) => expect(formatAge(ms)).toBe(text));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [9_960, "10 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [2.5e18, "2500 PB"],
])("formatBytes(%p) is %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
