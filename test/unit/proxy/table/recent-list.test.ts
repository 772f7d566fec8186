/** The order against an array, which is the dull way to do the same; what has been removed leads to nothing that has not. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Recent, RecentList } from "../../../../src/proxy/table/recent-list.ts";

interface Entry extends Recent<Entry> {
  readonly id: number;
}

const step = fc.record({ what: fc.constantFrom("add", "touch", "remove"), which: fc.nat() });

function idsOf(list: RecentList<Entry>): number[] {
  const ids: number[] = [];
  for (let entry = list.oldest; entry !== null; entry = entry.newer) ids.push(entry.id);
  return ids;
}

test("RecentList keeps the order of last use", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const list = new RecentList<Entry>();
      const oracle: Entry[] = [];
      steps.forEach(({ what, which }, id) => {
        if (what === "add") {
          const entry: Entry = { id, older: null, newer: null };
          list.add(entry);
          oracle.push(entry);
        } else if (oracle.length > 0) {
          const [entry] = oracle.splice(which % oracle.length, 1) as [Entry];
          if (what === "remove") list.remove(entry);
          else list.touch(entry);
          if (what === "touch") oracle.push(entry);
          else expect(entry).toMatchObject({ older: null, newer: null });
        }
      });
      expect(idsOf(list)).toEqual(oracle.map((entry) => entry.id));
      expect(list.size).toBe(oracle.length);
    }),
  );
});
