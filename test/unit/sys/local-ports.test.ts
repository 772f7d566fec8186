/** What the kernel says of local ports. */
import { expect, test } from "bun:test";
import { parseLocalPorts, readLocalPorts } from "../../../src/sys/local-ports.ts";

test("parseLocalPorts leaves out what is reserved", () => {
  expect(parseLocalPorts("40000\t40009\n", "8080,40002-40004,40009\n")).toEqual({
    low: 40_000,
    high: 40_009,
    ports: Uint16Array.of(40_000, 40_001, 40_005, 40_006, 40_007, 40_008),
  });
});

test.each(["", "x y", "60000 50000", "0 70000"])(
  "parseLocalPorts takes %p for the default range",
  (range) => {
    expect(parseLocalPorts(range, "")).toMatchObject({ low: 32_768, high: 60_999 });
  },
);

test("readLocalPorts reads this machine's", () => {
  const { low, high, ports } = readLocalPorts();
  expect(ports.length).toBeGreaterThan(0);
  expect(ports.every((port) => port >= low && port <= high)).toBe(true);
});
