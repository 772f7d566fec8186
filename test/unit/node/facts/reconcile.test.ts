import { beforeEach, describe, expect, test } from "bun:test";
import { Catalog } from "../../../../src/catalog/index.ts";
import type { Derived } from "../../../../src/node/facts/derive.ts";
import { type Facts, factsAtStart } from "../../../../src/node/facts/facts.ts";
import { type PartName, Reconciler } from "../../../../src/node/facts/reconcile.ts";
import { configOf } from "../../../support/node/config-of.ts";
import { ManualClock, settle } from "../../../support/time/manual-clock.ts";

let clock: ManualClock;
let errors: string[];
let reconciler: Reconciler;
/** "part FACT" of what was applied, in order. */
let applied: string[];

beforeEach(() => {
  clock = new ManualClock();
  [errors, applied] = [[], []];
  reconciler = new Reconciler({
    facts: factsAtStart({
      config: configOf('[node]\nname = "a"'),
      path: "/etc/portmesh.toml",
      version: "1",
      catalog: new Catalog("a"),
      network: { addresses: [], hasIpv6: false },
      announced: null,
    }),
    clock,
    onError: (part, error) => errors.push(`${part}: ${(error as Error).message}`),
  });
});

function recordTo(part: PartName): (derived: Derived) => void {
  return ({ writes }) => {
    applied.push(`${part} ${writes}`);
  };
}

test("thousands of facts of one turn end in one pass at its end, over the last of them", async () => {
  reconciler.attach("records", recordTo("records"));
  await settle();
  const before = reconciler.passes;
  applied = [];
  for (let writes = 1; writes <= 5_000; writes++) reconciler.learn({ writes });
  expect(applied).toEqual([]);
  await settle();
  expect([reconciler.passes - before, applied]).toEqual([1, ["records 5000"]]);
  expect(clock.timerCount).toBe(0); // a pass waits for no timer
});

test("a fact that is what it was causes no pass", async () => {
  reconciler.learn({ bindErrors: [["web", "tcp 0.0.0.0:80", "taken"]] });
  await settle();
  const before = reconciler.passes;
  reconciler.learn({ bindErrors: [["web", "tcp 0.0.0.0:80", "taken"]], writes: 0 });
  await settle();
  expect(reconciler.passes).toBe(before);
});

test("parts follow in their order, however they were attached, each from when it was", async () => {
  reconciler.attach("tables", recordTo("tables"));
  await settle();
  for (const part of ["overlay", "members", "store", "records", "push"] as const)
    reconciler.attach(part, recordTo(part));
  applied = [];
  await settle();
  expect(applied.map((line) => line.split(" ")[0]!)).toEqual([
    "members",
    "records",
    "push",
    "overlay",
    "store",
    "tables",
  ]);
});

describe("what a part learns while it applies", () => {
  test("is in force when the turn ends: the pass is repeated, not entered again", () => {
    let depth = 0;
    reconciler.attach("records", ({ writes }) => {
      expect(++depth).toBe(1);
      if (writes < 3) reconciler.learn({ writes: writes + 1 });
      depth--;
    });
    reconciler.attach("push", recordTo("push"));
    reconciler.now();
    expect(applied.at(-1)).toBe("push 3");
  });

  test("is bounded: a pass without end is reported, and tried again later", async () => {
    reconciler.attach("records", ({ writes }) => reconciler.learn({ writes: writes + 1 }));
    reconciler.now();
    expect(errors).toEqual(["records: facts still change after 20 passes"]);
    reconciler.attach("records", () => undefined);
    await clock.advance(1_000);
    expect(errors.length).toBe(1);
  });
});

describe("a part that fails", () => {
  let isBroken: boolean;

  beforeEach(() => {
    isBroken = true;
  });

  test.each([
    [
      "at once",
      () => {
        if (isBroken) throw new Error("no space");
      },
    ],
    [
      "later",
      async () => {
        await Promise.resolve();
        if (isBroken) throw new Error("no space");
      },
    ],
  ])("%s is reported, holds up no other part, and is tried again ever more rarely", async (_, apply) => {
    reconciler.attach("overlay", () => {
      applied.push("overlay");
      return apply();
    });
    reconciler.attach("tables", recordTo("tables"));
    await settle();
    expect(errors).toEqual(["overlay: no space"]);
    expect(applied).toContain("tables 0");
    applied = [];
    await clock.advance(1_000 + 2_000 + 4_000);
    expect(applied.filter((part) => part === "overlay").length).toBe(3);
    isBroken = false;
    await clock.advance(8_000);
    expect(errors.length).toBe(4);
    await clock.advance(100_000);
    expect([errors.length, clock.timerCount]).toEqual([4, 0]);
  });

  test("is not tried again by a node that has ended", async () => {
    reconciler.attach("overlay", () => {
      throw new Error("no space");
    });
    reconciler.now();
    reconciler.close();
    expect(clock.timerCount).toBe(0);
    reconciler.learn({ writes: 1 } satisfies Partial<Facts>);
    await settle();
    expect(errors.length).toBe(1);
  });
});
