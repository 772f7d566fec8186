import { expect, test } from "bun:test";
import { parseBusyTicks } from "../../../bench/overlay/processor-time.ts";

test("parseBusyTicks counts user, nice, system and interrupts; not idle, waiting, stolen or guests' time twice", () => {
  const stat = "cpu  1000 200 30 99999 88888 4 5 77777 600 50\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
  expect(parseBusyTicks(stat)).toBe(1239);
});
