/** What the kernel says of local ports. */
import { expect, test } from "bun:test";
import { countPorts, parseLocalPorts, readLocalPorts } from "../../../src/sys/local-ports.ts";

test("parseLocalPorts leaves out what is reserved", () => {
  expect(parseLocalPorts("40000\t40009\n", "8080,40002-40004,40009\n")).toEqual({
    low: 40_000,
    high: 40_009,
    runs: [
      { first: 40_000, last: 40_001 },
      { first: 40_005, last: 40_008 },
    ],
  });
});

test.each(["", "x y", "60000 50000", "0 70000"])(
  "parseLocalPorts takes %p for the default range",
  (range) => {
    expect(parseLocalPorts(range, "")).toMatchObject({ low: 32_768, high: 60_999 });
  },
);

test("readLocalPorts reads this machine's", () => {
  const { low, high, runs } = readLocalPorts();
  expect(countPorts(runs)).toBeGreaterThan(0);
  expect(runs.every(({ first, last }) => first >= low && first <= last && last <= high)).toBe(true);
});

test("reserved ports at the edges, over the edges and next to each other", () => {
  const runs = (reserved: string) =>
    parseLocalPorts("40000 40009", reserved).runs.map(({ first, last }) => `${first}-${last}`);
  expect(runs("39990-40001,40008-50000")).toEqual(["40002-40007"]);
  expect(runs("40001,40002,40004")).toEqual(["40000-40000", "40003-40003", "40005-40009"]);
  expect(runs("40000-40009")).toEqual([]);
  expect(runs("1,65535,40009-40003")).toEqual(["40000-40009"]);
});
