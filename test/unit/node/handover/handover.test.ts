import { expect, test } from "bun:test";
import { Handover, type HandoverOptions, MAX_DRAINING } from "../../../../src/node/handover/handover.ts";
import type { PredecessorStatus } from "../../../../src/node/handover/predecessors.ts";

function handoverWith(predecessors: readonly PredecessorStatus[]): Handover {
  return new Handover({
    isDraining: () => false,
    predecessors: () => predecessors,
    command: null,
  } as unknown as HandoverOptions);
}

function draining(count: number): PredecessorStatus[] {
  return Array.from({ length: count }, (_, i) => ({
    pid: 100 + i,
    openConnections: 1,
    leftMs: 9_000 - 1_000 * i,
  }));
}

test("with as many old processes as may drain, an upgrade is refused until the first of them ends", async () => {
  const refused = await handoverWith(draining(MAX_DRAINING)).upgrade(null);
  expect(refused).toMatchObject({ retryAfterMs: 9_000 - 1_000 * (MAX_DRAINING - 1) });
  expect((refused as { reason: string }).reason).toContain(
    "8 earlier processes still drain: pid 100: 1 connections, 9 s left; pid 101: ",
  );
  expect(handoverWith(draining(MAX_DRAINING)).open()).toHaveProperty("reason");
  const allowed = await handoverWith(draining(MAX_DRAINING - 1)).upgrade(null);
  expect((allowed as { reason: string }).reason).toContain("not started by `portmesh run`");
});
