import { expect, test } from "bun:test";
import { terminationOf } from "../../../../src/node/connection-log/termination.ts";
import type { EndReason, Stage } from "../../../../src/proxy/index.ts";

const ECONNREFUSED = 111;
const ETIMEDOUT = 110;

const cases: readonly (readonly [EndReason, Stage, number, string, string | null])[] = [
  ["done", "data", 0, "--", null],
  ["done", "last-data", 0, "--", null],
  ["handed-over", "data", 0, "--", null],
  ["denied", "header", 0, "PR", "portmesh"],
  ["connection-limit", "header", 0, "PR", "portmesh"],
  ["bad-proxy-header", "header", 0, "PR", "portmesh"],
  ["bad-proxy-header", "header", ETIMEDOUT, "cR", "client"],
  ["unknown-server-name", "header", 0, "PR", "portmesh"],
  ["late-client-hello", "header", 0, "cR", "client"],
  ["client-limit", "header", 0, "PR", "portmesh"],
  ["client-rate", "header", 0, "PR", "portmesh"],
  ["client-gone", "header", 0, "CR", "client"],
  ["client-gone", "connect", 0, "CC", "client"],
  ["no-task", "connect", 0, "SC", "task"],
  ["no-task", "connect", ECONNREFUSED, "SC", "task"],
  ["no-task", "connect", ETIMEDOUT, "sC", "task"],
  ["out-of-descriptors", "connect", 0, "RC", "portmesh"],
  ["out-of-descriptors", "data", 0, "RD", "portmesh"],
  ["out-of-ports", "connect", 0, "RC", "portmesh"],
  ["client-reset", "data", 0, "CD", "client"],
  ["client-reset", "last-data", 0, "CL", "client"],
  ["client-reset", "data", ETIMEDOUT, "cD", "client"],
  ["task-reset", "data", 104, "SD", "task"],
  ["task-reset", "last-data", 104, "SD", "task"],
  ["task-reset", "data", ETIMEDOUT, "sD", "task"],
  ["idle", "data", 0, "cD", "client"],
  ["idle", "last-data", 0, "cL", "client"],
  ["drained", "connect", 0, "KC", "portmesh"],
  ["drained", "data", 0, "KD", "portmesh"],
  ["unreachable", "data", ECONNREFUSED, "SD", "task"],
  ["session-moved", "data", ECONNREFUSED, "SD", "task"],
  ["session-limit", "data", 0, "RD", "portmesh"],
  ["published-source", "data", 0, "PD", "portmesh"],
];

for (const [reason, stage, errno, state, endedBy] of cases)
  test(`${reason} at ${stage}, errno ${errno}: ${state}`, () => {
    expect(terminationOf({ reason, stage, errno })).toEqual({ state, endedBy } as never);
  });
