import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MemberRecord, type MemberState } from "../../../src/membership/member.ts";
import { MemberTable } from "../../../src/membership/member-table.ts";
import { seededRandom } from "../../support/random/seeded-random.ts";

function record(name: string, state: MemberState = "alive"): MemberRecord {
  const made = new MemberRecord(
    name,
    { ip: new Uint8Array(4), port: 1 },
    new Uint8Array(),
    new Uint8Array(),
    0,
  );
  made.enter(state, 0);
  return made;
}

function tableOf(names: readonly string[], seed = 1): MemberTable {
  const table = new MemberTable("self", 1_000, seededRandom(seed));
  for (const name of ["self", ...names]) table.insert(record(name));
  return table;
}

const noop = () => undefined;

describe("round robin", () => {
  test("everybody once per round, but for itself; rounds differ", () => {
    const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const table = tableOf(names);
    const rounds = [1, 2, 3, 4].map(() => names.map(() => table.nextToProbe(noop)!.name));
    for (const round of rounds) expect(round.toSorted()).toEqual(names.toSorted());
    expect(new Set(rounds.map(String)).size).toBe(4);
  });

  test("who comes or goes within a round makes nobody else miss it or come twice", () => {
    const change = fc.tuple(fc.constantFrom("insert", "remove", "probe", "probe", "probe"), fc.nat());
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), fc.nat(), (changes, seed) => {
        const table = tableOf(["a", "b", "c", "d"], seed);
        const present = new Set(["a", "b", "c", "d"]);
        let stayed = new Set(present); // since the round began
        let probed: string[] = [];
        const onRound = () => {
          expect(new Set(probed).size).toBe(probed.length);
          expect([...stayed].filter((name) => !probed.includes(name))).toEqual([]);
          probed = [];
          stayed = new Set(present);
        };
        for (const [index, [what, at]] of changes.entries()) {
          const name = what === "insert" ? `x${index}` : [...present][at % Math.max(1, present.size)];
          if (name === undefined) continue;
          if (what === "insert") {
            table.insert(record(name));
            present.add(name);
          } else if (what === "remove") {
            table.remove(name);
            for (const names of [present, stayed]) names.delete(name);
          } else {
            const next = table.nextToProbe(onRound);
            if (next !== null) probed.push(next.name);
          }
        }
      }),
    );
  });

  test("suspects are probed, the dead and those that left are not", () => {
    const table = tableOf([]);
    for (const state of ["alive", "suspect", "dead", "left"] as const) table.insert(record(state, state));
    const probed = Array.from({ length: 6 }, () => table.nextToProbe(noop)!.name);
    expect(new Set(probed)).toEqual(new Set(["alive", "suspect"]));
  });

  test("alone there is nobody to probe, and it ends", () => {
    expect(tableOf([]).nextToProbe(noop)).toBeNull();
    const table = tableOf([]);
    table.remove("self");
    expect(table.nextToProbe(noop)).toBeNull();
  });

  test("whoever is forgotten at the end of a round is not in the next one", () => {
    const table = tableOf(["a", "b"]);
    for (let i = 0; i < 2; i++) table.nextToProbe(noop);
    const next = Array.from({ length: 4 }, () => table.nextToProbe(() => table.remove("a"))!.name);
    expect(next).toEqual(["b", "b", "b", "b"]);
  });
});

describe("pick", () => {
  test("takes different ones, and only those wanted", () => {
    const table = tableOf(["a", "b", "c", "d"]);
    for (let run = 0; run < 100; run++) {
      const picked = table.pick(3, ({ name }) => name !== "self").map(({ name }) => name);
      expect(picked.length).toBe(3);
      expect(new Set(picked).size).toBe(3);
      expect(picked).not.toContain("self");
    }
  });

  test("finds the only one wanted among many, and gives up where there is none", () => {
    const names = Array.from({ length: 500 }, (_, index) => `n${index}`);
    const table = tableOf(names);
    expect(table.pick(3, ({ name }) => name === "n7").map(({ name }) => name)).toEqual(["n7"]);
    expect(table.pick(3, () => false)).toEqual([]);
    expect(new MemberTable("self", 1, () => 0.5).pick(3, () => true)).toEqual([]);
  });

  test("looks at a bounded number of records however many it is asked for", () => {
    const names = Array.from({ length: 500 }, (_, index) => `n${index}`);
    const table = tableOf(names);
    let looks = 0;
    table.pick(3, () => {
      looks++;
      return false;
    });
    expect(looks).toBeLessThanOrEqual(501 + 64);
  });

  test("everybody is picked about as often", () => {
    const table = tableOf(["a", "b", "c", "d", "e"]);
    const counts = new Map<string, number>();
    for (let run = 0; run < 5_000; run++) {
      for (const { name } of table.pick(2, () => true)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    for (const count of counts.values()) expect(Math.abs(count - 10_000 / 6)).toBeLessThan(200);
  });
});
