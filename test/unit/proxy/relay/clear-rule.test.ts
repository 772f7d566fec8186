import { expect, test } from "bun:test";
import { ClearRule } from "../../../../src/proxy/relay/clear-rule.ts";
import { identityOf, NO_IDENTITY } from "../../../../src/proxy/relay/identity.ts";
import { parseIp } from "../../../../src/wire/index.ts";

function accepts(rule: ClearRule, address: string): boolean {
  const { family, bytes } = parseIp(address)!;
  const around = Uint8Array.of(9, 9, ...bytes, 9);
  return rule.accepts({ family, bytes: around, offset: 2 });
}

test("everywhere, nowhere, or at some addresses", () => {
  const rule = new ClearRule(["10.200.0.7", "fd00::7"]);
  const addresses = ["10.200.0.7", "fd00::7", "10.200.0.8", "fd00::8", "127.0.0.1"];
  expect(addresses.map((address) => accepts(rule, address))).toEqual([true, true, false, false, false]);
  expect(addresses.every((address) => accepts(new ClearRule("always"), address))).toBe(true);
  expect(addresses.some((address) => accepts(ClearRule.NOWHERE, address))).toBe(false);
  expect([rule.isEverywhere, new ClearRule("always").isEverywhere]).toEqual([false, true]);
});

test("an identity stays the same object until something of it changes", () => {
  const relay = {
    node: "n1",
    keys: ["5a".repeat(32)],
    acceptsClear: [],
    tcpListeners: [],
    udpListeners: [],
  } as const;
  const first = identityOf(relay, NO_IDENTITY);
  expect(identityOf({ ...relay }, first)).toBe(first);
  const changes = [
    { node: "n2" },
    { keys: ["77".repeat(32)] },
    { acceptsClear: ["::1"] },
    { acceptsClear: "always" as const },
  ];
  for (const change of changes) expect(identityOf({ ...relay, ...change }, first)).not.toBe(first);
});
