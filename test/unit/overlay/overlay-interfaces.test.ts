import { expect, test } from "bun:test";
import { readOverlayInterfaces } from "../../../src/overlay/index.ts";
import { NetlinkError, NetlinkSession } from "../../../src/overlay/rtnetlink/index.ts";
import { EAGAIN, EPERM, SysError } from "../../../src/sys/errno.ts";

function failing(errnoValue: number): NetlinkSession {
  const fail = () => {
    throw new SysError("recv(AF_NETLINK)", errnoValue);
  };
  return new NetlinkSession({ send: () => {}, receive: fail, close: () => {} });
}

test("where netlink is forbidden there are none", () => {
  expect(readOverlayInterfaces(() => failing(EPERM))).toEqual(new Set());
});

test("no answer is an error, not none", () => {
  expect(() => readOverlayInterfaces(() => failing(EAGAIN))).toThrow(NetlinkError);
});
