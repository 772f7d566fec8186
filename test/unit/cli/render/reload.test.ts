import { expect, test } from "bun:test";
import { renderReload } from "../../../../src/cli/render/reload.ts";
import type { ReloadReport } from "../../../../src/node/index.ts";
import { NO_CHANGES } from "../../../../src/node/reload-report.ts";

function report(rest: Partial<ReloadReport>): ReloadReport {
  return {
    outcome: "applied",
    isDryRun: false,
    trigger: "command",
    at: 0,
    changes: NO_CHANGES,
    problems: [],
    warnings: [],
    variables: [],
    bindErrors: [],
    differing: [],
    unpublished: [],
    kept: [],
    ...rest,
  };
}

const changes = {
  services: {
    added: ["dns"],
    removed: ["old"],
    changed: [{ name: "web", changes: ["task added 10.0.0.5"] }],
  },
  settings: [
    { key: "log.level", before: "info", after: "debug", needsRestart: false },
    { key: "proxy.workers", before: 2, after: 4, needsRestart: true },
  ],
  listenersOpened: ["udp 0.0.0.0:53"],
  listenersClosed: ["tcp 0.0.0.0:81"],
};

test("renderReload has one line per change", () => {
  const bindErrors = [
    {
      service: "dns",
      protocol: "udp",
      address: "::",
      port: 53,
      error: "cannot listen on [::]:53/udp: address in use",
    } as const,
  ];
  expect(renderReload(report({ changes, bindErrors })).split("\n")).toEqual([
    "applied: 1 service added, 1 service changed, 1 service removed, 1 listener opened, 1 listener closed, " +
      "1 setting changed, 1 setting waits for a restart",
    "  + service dns",
    "  ~ service web: task added 10.0.0.5",
    "  - service old",
    "  + listener udp 0.0.0.0:53",
    "  - listener tcp 0.0.0.0:81",
    "  ~ log.level info -> debug",
    "  ! proxy.workers 2 -> 4: needs a restart, 2 stays in use",
    "  ! cannot listen on [::]:53/udp: address in use",
    "",
  ]);
});

test.each([
  [report({ outcome: "unchanged" }), "no change"],
  [report({ isDryRun: true, changes }), "would change: 1 service added"],
  [
    report({ outcome: "unchanged", changes: { ...NO_CHANGES, settings: [changes.settings[1]!] } }),
    "no change now: 1 setting waits for a restart",
  ],
  [
    report({ outcome: "refused", isDryRun: true }),
    "the configuration is invalid, it would be refused: 0 problems",
  ],
])("renderReload begins with the verdict (%#)", (given, verdict) => {
  expect(renderReload(given).split("\n")[0]).toStartWith(verdict);
});

test("renderReload says where a removed service is still declared", () => {
  const definition = { changedAtMs: 0, differences: [] };
  const kept = [
    {
      service: "old",
      definitions: [
        { ...definition, node: "n2", file: "/etc/pm.toml", isAlive: true },
        { ...definition, node: "n3", file: null, isAlive: false },
      ],
    },
  ];
  expect(renderReload(report({ changes, kept })).split("\n")).toContain(
    "  ! service old stays in use: it is also defined by n2:/etc/pm.toml, command on n3 (node not alive)",
  );
});

test("variables keep their values, and the report says so", () => {
  expect(renderReload(report({ outcome: "unchanged", variables: ["PORT", "ZONE"] }))).toBe(
    "no change\n  environment variables keep their values until a restart: PORT, ZONE\n",
  );
});
