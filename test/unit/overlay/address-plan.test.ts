import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { chooseAddress, isInSubnet, macOf } from "../../../src/overlay/index.ts";

const SUBNET = "10.200.0.0/16";
const UNKNOWN_PEER = new Map<string, string>();

function addressOf(
  name: string,
  claims: ReadonlyMap<string, string> = UNKNOWN_PEER,
  current: string | null = null,
) {
  return chooseAddress({ name, subnet: SUBNET, current, claims });
}

/** Nodes that hear of each other in the order of `turns`, until nobody moves any more. */
function settleAll(names: readonly string[], subnet: string, turns: readonly number[]) {
  const claims = new Map<string, string>();
  const step = (name: string) => {
    const others = new Map([...claims].filter(([other]) => other !== name));
    const address = chooseAddress({ name, subnet, current: claims.get(name) ?? null, claims: others });
    const isMoved = (claims.get(name) ?? null) !== address;
    if (address === null) claims.delete(name);
    else claims.set(name, address);
    return isMoved;
  };
  for (const turn of turns) step(names[turn % names.length]!);
  for (let round = 0; round <= names.length; round++) if (!names.map(step).some(Boolean)) return claims;
  return null;
}

describe("chooseAddress", () => {
  test("the address of a name is always the same, and of the subnet", () => {
    expect(addressOf("edge-1")).toBe(addressOf("edge-1")!);
    expect(isInSubnet(addressOf("edge-1")!, SUBNET)).toBe(true);
    expect(addressOf("edge-1")).not.toBe(addressOf("edge-2"));
  });

  test("of two with one address the lower name keeps it", () => {
    const address = addressOf("edge-1")!;
    expect(addressOf("edge-1", new Map([["edge-2", address]]), address)).toBe(address);
    expect(addressOf("edge-1", new Map([["edge-0", address]]), address)).not.toBe(address);
  });

  test("who has moved away stays when the other has left", () => {
    const first = addressOf("edge-1")!;
    const second = addressOf("edge-1", new Map([["edge-0", first]]), first);
    expect(addressOf("edge-1", UNKNOWN_PEER, second)).toBe(second);
  });

  test("an address of another subnet is given up", () => {
    expect(addressOf("edge-1", UNKNOWN_PEER, "192.0.2.1")).toBe(addressOf("edge-1"));
  });

  test("no node gets the first or the last address of a subnet", () => {
    const claims = settleAll(["a", "b"], "10.0.0.0/30", [])!;
    expect([...claims.values()].sort()).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  test("with more nodes than addresses the highest names have none", () => {
    const claims = settleAll(["c", "a", "b"], "10.0.0.0/30", [])!;
    expect([...claims.keys()].sort()).toEqual(["a", "b"]);
  });

  test("in any order of announcements: each node ends with an address of its own", () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(names, fc.array(fc.nat(11), { maxLength: 60 }), (nodes, turns) => {
        const claims = settleAll(nodes, "10.0.0.0/28", turns);
        expect(claims).not.toBeNull();
        expect(new Set(claims!.values()).size).toBe(nodes.length);
      }),
    );
  });
});

test("a MAC says whose it is", () => {
  expect(Buffer.from(macOf("10.200.3.255")).toString("hex")).toBe("02420ac803ff");
});
