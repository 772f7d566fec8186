import { expect, test } from "bun:test";
import { NO_CHANGES, summarizeChanges } from "../../../src/node/reload-report.ts";

test("summarizeChanges counts each kind in words", () => {
  const summary = summarizeChanges({
    services: { added: ["a", "b"], removed: ["c"], changed: [{ name: "d", changes: ["x", "y"] }] },
    settings: [
      { key: "log.level", before: "info", after: "debug", needsRestart: false },
      { key: "proxy.workers", before: 1, after: 2, needsRestart: true },
    ],
    listenersOpened: ["tcp 0.0.0.0:80"],
    listenersClosed: [],
  });
  expect(summary).toBe(
    "2 services added, 1 service changed, 1 service removed, 1 listener opened, 1 setting changed, " +
      "1 setting waits for a restart",
  );
});

test("summarizeChanges of nothing is empty", () => {
  expect(summarizeChanges(NO_CHANGES)).toBe("");
});
