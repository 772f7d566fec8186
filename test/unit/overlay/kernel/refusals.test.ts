import { expect, test } from "bun:test";
import type { OverlayEnd } from "../../../../src/overlay/driver.ts";
import { explain } from "../../../../src/overlay/kernel/refusals.ts";
import { NetlinkError, NetlinkSession } from "../../../../src/overlay/rtnetlink/index.ts";
import { EBUSY, EOPNOTSUPP, EPERM } from "../../../../src/sys/errno.ts";

const end: OverlayEnd = {
  address: "10.200.0.1",
  prefixLength: 16,
  vni: 1,
  port: 4789,
  underlayAddress: "0.0.0.0",
  device: "portmesh0",
};

/** Nothing is asked of the kernel for these. */
const nobody = new NetlinkSession({
  send: () => {
    throw new Error("asked");
  },
  receive: () => new Uint8Array(0),
  close: () => {},
});

test.each([
  ["EPERM", EPERM, "not-permitted", "cannot create portmesh0: CAP_NET_ADMIN is missing"],
  ["EOPNOTSUPP", EOPNOTSUPP, "unsupported", "cannot create portmesh0: this kernel has no VXLAN"],
  ["EBUSY", EBUSY, "refused", "cannot set up portmesh0: cannot create link portmesh0: busy: in use"],
])("%s is explained", (_, errnoValue, code, message) => {
  const error = new NetlinkError("create link portmesh0", errnoValue, "in use");
  const explained = explain(error, nobody, end);
  expect(explained).toMatchObject({ name: "OverlayError", code, cause: error });
  expect((explained as Error).message).toStartWith(message);
});

test("what is no refusal of the kernel is passed through", () => {
  const error = new RangeError("something else");
  expect(explain(error, nobody, end)).toBe(error);
});
