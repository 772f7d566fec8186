import { expect, test } from "bun:test";
import { InterfaceWatch } from "../../../src/node/interface-watch.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function watchOf(addresses: string[]) {
  const clock = new ManualClock();
  const seen = { reads: 0, changes: 0 };
  const watch = new InterfaceWatch({
    clock,
    read() {
      seen.reads++;
      return { hasIpv6: true, addresses: addresses.map((address) => ({ interface: "eth0", address })) };
    },
    onChange: () => seen.changes++,
  });
  return { clock, seen, watch };
}

test("nothing is read while inactive", async () => {
  const { clock, seen } = watchOf([]);
  await clock.advance(60_000);
  expect(seen.reads).toBe(0);
});

test("while active it polls every two seconds and reports a change once", async () => {
  const addresses = ["10.0.0.1"];
  const { clock, seen, watch } = watchOf(addresses);
  watch.setActive(true);
  await clock.advance(4_000);
  expect(seen).toEqual({ reads: 3, changes: 0 });
  addresses.push("10.0.0.2");
  await clock.advance(4_000);
  expect(seen.changes).toBe(1);
  expect(watch.network.addresses.length).toBe(2);
});

test("when no longer active the timer is gone and what is asked for is read afresh", async () => {
  const addresses = ["10.0.0.1"];
  const { clock, watch } = watchOf(addresses);
  watch.setActive(true);
  watch.setActive(false);
  expect(clock.timerCount).toBe(0);
  addresses.pop();
  expect(watch.network.addresses).toEqual([]);
});
