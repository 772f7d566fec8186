import { expect, test } from "bun:test";
import { KeyMismatches } from "../../../../src/node/cluster/key-mismatch.ts";

test("hosts with another key are remembered for a minute, and not more than a number of them", () => {
  const troubles = new KeyMismatches();
  troubles.note("too-many-bytes", "10.0.0.1", 0);
  troubles.note("cannot-decrypt", "10.0.0.2", 0);
  expect(troubles.current(59_999)).toEqual([{ from: "10.0.0.2", reason: "cannot-decrypt" }]);
  expect(troubles.current(60_000)).toEqual([]);
  for (let host = 0; host < 1000; host++) troubles.note("encrypted", `10.1.0.${host}`, 0);
  expect(troubles.current(1)).toHaveLength(64);
});
