import { expect, test } from "bun:test";
import { aliasOf, DEVICE_GROUP, isOwnDevice } from "../../../../src/overlay/kernel/mark.ts";
import type { Link } from "../../../../src/overlay/rtnetlink/index.ts";

const ALIAS = aliasOf("prod/n1");

function link(changes: Partial<Link>): Link {
  const nothing = { index: 7, name: "portmesh0", isUp: false, mtuBytes: 1450, macAddress: "", vxlan: null };
  const settings = { master: 0, ipv4Settings: new Map(), hasIpv6LinkLocal: null };
  const sizes = { gsoMaxBytes: 0, groMaxBytes: 0, counters: null };
  return { ...nothing, ...settings, ...sizes, alias: "", group: 0, kind: "vxlan", ...changes };
}

test.each([
  ["with this node's alias", { alias: ALIAS }, true],
  ["with this node's alias and another name", { alias: ALIAS, name: "other0" }, true],
  ["left before it had an alias", { group: DEVICE_GROUP }, true],
  ["left before it had an alias, of another name", { group: DEVICE_GROUP, name: "portmesh1" }, false],
  ["with nothing", {}, false],
  ["of another node", { alias: aliasOf("prod/n2"), group: DEVICE_GROUP }, false],
  ["of another kind with this node's alias", { alias: ALIAS, kind: "dummy" }, false],
  ["of another kind in the group", { group: DEVICE_GROUP, kind: "bridge" }, false],
])("a device %s", (_, changes, isOwn) => {
  expect(isOwnDevice(link(changes), ALIAS, "portmesh0")).toBe(isOwn);
});

test("an owner that the kernel would cut or print as two lines is refused", () => {
  expect(aliasOf("n".repeat(246))).toHaveLength(255);
  expect(() => aliasOf("n".repeat(247))).toThrow(RangeError);
  expect(() => aliasOf("prod\nn1")).toThrow(RangeError);
});
