import { describe, expect, test } from "bun:test";
import { AddressWatch } from "../../../../src/node/cluster/address-watch.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const LOOK_MS = 500;

interface Machine {
  /** "eth0 10.0.0.2" */
  addresses: string[];
  route: string | null;
}

function watchOf(
  machine: Machine,
  { bind = "0.0.0.0", advertise = null as string | null, address = "" } = {},
) {
  const clock = new ManualClock();
  const told: string[] = [];
  const watch = new AddressWatch({
    node: { advertise },
    cluster: { bind: { host: bind, port: 7946 } },
    address: address || machine.addresses[0]!.split(" ")[1]!,
    readAddresses: () =>
      machine.addresses.map((line) => {
        const [name, own] = line.split(" ") as [string, string];
        return { interface: name, address: own };
      }),
    readDefaultRouteInterface: () => machine.route,
    clock,
    onChange: ({ kind, address }) => told.push(`${kind} ${address}`),
  });
  watch.start();
  const see = async (change: Partial<Machine>, looks = 10) => {
    Object.assign(machine, change);
    await clock.advance(looks * LOOK_MS);
    return told.splice(0);
  };
  return { see, watch, clock };
}

describe("a node that follows its address", () => {
  test("takes the one that replaces it within a second", async () => {
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2"], route: "eth0" });
    expect(await see({})).toEqual([]);
    expect(await see({ addresses: ["eth0 10.0.0.9"] }, 2)).toEqual(["moved 10.0.0.9"]);
    expect(await see({ addresses: ["eth0 10.0.0.2"] }, 2)).toEqual(["moved 10.0.0.2"]);
  });

  test("stays where it is when another one is added, or a moment without it passes", async () => {
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2"], route: "eth0" });
    expect(await see({ addresses: ["eth0 10.0.0.1", "eth0 10.0.0.2"] })).toEqual([]);
    expect(await see({ addresses: ["eth0 10.0.0.1"] }, 1)).toEqual([]);
    expect(await see({ addresses: ["eth0 10.0.0.1", "eth0 10.0.0.2"] })).toEqual([]);
  });

  test("reports once that it is gone, and takes the next one when it appears", async () => {
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2"], route: "eth0" });
    expect(await see({ addresses: [], route: null })).toEqual(["lost 10.0.0.2"]);
    expect(await see({ addresses: ["eth0 10.0.0.3"] })).toEqual(["moved 10.0.0.3"]);
  });

  test("reports that it is back", async () => {
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2"], route: null });
    expect(await see({ addresses: [] })).toEqual(["lost 10.0.0.2"]);
    expect(await see({ addresses: ["eth0 10.0.0.2"] })).toEqual(["back 10.0.0.2"]);
  });

  test("never takes that of a bridge or of the overlay, link-local ones, or the other family's", async () => {
    const others = ["docker0 172.17.0.1", "portmesh4789 10.200.0.7", "lo 127.0.0.1", "eth0 169.254.3.4"];
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2", ...others], route: "eth0" });
    expect(await see({ addresses: [...others, "eth0 fd00::2"] })).toEqual(["lost 10.0.0.2"]);
  });

  test("follows the default route to another interface, not at the first sight", async () => {
    const addresses = ["eth0 10.0.0.2", "eth1 192.0.2.2"];
    const { see } = watchOf({ addresses, route: "eth0" });
    expect(await see({ route: "eth1" }, 4)).toEqual([]);
    expect(await see({ route: "eth0" }, 4)).toEqual([]);
    expect(await see({ route: null })).toEqual([]);
    expect(await see({ route: "eth1" })).toEqual(["moved 192.0.2.2"]);
  });

  test("does so over IPv6", async () => {
    const { see } = watchOf({ addresses: ["eth0 fd00::2", "eth0 10.0.0.2"], route: null }, { bind: "::" });
    expect(await see({ addresses: ["eth0 10.0.0.2", "eth0 fe80::1"] })).toEqual(["lost fd00::2"]);
    expect(await see({ addresses: ["eth0 10.0.0.2", "eth0 fe80::1", "eth0 fd00::3"] })).toEqual([
      "moved fd00::3",
    ]);
  });
});

describe("an address that is fixed", () => {
  test.each([{ bind: "10.0.0.2" }, { advertise: "10.0.0.2" }])("is reported as gone: %o", async (fixed) => {
    const { see } = watchOf({ addresses: ["eth0 10.0.0.2"], route: "eth0" }, fixed);
    expect(await see({ addresses: ["eth0 10.0.0.9"] })).toEqual(["lost 10.0.0.2"]);
    expect(await see({ addresses: ["eth0 10.0.0.9", "eth0 10.0.0.2"] })).toEqual(["back 10.0.0.2"]);
  });

  test("that never was one of this machine, as behind NAT, is not missed", async () => {
    const machine = { addresses: ["eth0 10.0.0.2"], route: "eth0" };
    const { see } = watchOf(machine, { advertise: "203.0.113.1", address: "203.0.113.1" });
    expect(await see({ addresses: ["eth0 10.0.0.9"] })).toEqual([]);
  });
});

test("nothing is read after stop()", () => {
  const { watch, clock } = watchOf({ addresses: ["eth0 10.0.0.2"], route: "eth0" });
  watch.stop();
  expect(clock.timerCount).toBe(0);
});
