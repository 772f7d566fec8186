import { expect, test } from "bun:test";
import { parseSummary } from "../../../build/test-summary.ts";

const END = "\n 9 expect() calls\nRan 5 tests across 2 files. [6.00ms]\n";

test("the counts are those of the summary, not of a test's own output", () => {
  const output = `(pass) a\n 77 pass\n\n 3 pass\n 1 skip\n 1 todo\n 2 fail\n 1 error${END}`;
  expect(parseSummary(output, 1)).toEqual({ passed: 3, failed: 2, skipped: 2 });
});

test("without a summary the run has crashed", () => {
  expect(parseSummary("a.test.ts:\n(pass) a\n", 137)).toBeNull();
});

test("an exit code that no failed test explains is a failure", () => {
  expect(parseSummary(` 3 pass\n 0 fail${END}`, 1)).toEqual({ passed: 3, failed: 1, skipped: 0 });
});
