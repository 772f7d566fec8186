import { expect, test } from "bun:test";
import { toMarkdown } from "../../../support/cluster/mesh-report.ts";

test("a row per scenario, a column per number, a dash where there is none", () => {
  const text = toMarkdown({ "kill -9": { failed: 0, "ms until gone": 6123.4 }, loss: { failed: 1 } });
  expect(text.split("\n").slice(2, 6)).toEqual([
    "|  | failed | ms until gone |",
    "| --- | ---: | ---: |",
    "| kill -9 | 0 | 6123 |",
    "| loss | 1 | – |",
  ]);
});
