import { expect, test } from "bun:test";
import type { OverlayEnd } from "../../../../src/overlay/driver.ts";
import { NetlinkError, type NetlinkSession, OverlayError } from "../../../../src/overlay/index.ts";
import { setFilter } from "../../../../src/overlay/kernel/device-filter.ts";
import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPERM } from "../../../../src/sys/errno.ts";
import { RTM_NEWQDISC, RTM_NEWTFILTER } from "../../../../src/wire/netlink/index.ts";

const END: OverlayEnd = {
  ...{ address: "10.200.50.1", prefixLength: 16, vni: 1, port: 4789 },
  ...{ underlayAddress: "0.0.0.0", device: "portmesh0" },
};
const PROGRAM = Uint8Array.of(6, 0, 0, 0, 2, 0, 0, 0);

/** A kernel that refuses some requests. */
class Kernel {
  readonly changes: number[] = [];

  constructor(readonly errors: Readonly<Record<number, number>>) {}

  get session(): NetlinkSession {
    return this as unknown as NetlinkSession;
  }

  change(what: string, type: number): void {
    const error = this.errors[type];
    if (error !== undefined) throw new NetlinkError(what, error, "Specified qdisc kind is unknown");
    this.changes.push(type);
  }
}

function errorOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

test.each([
  ["of queues", RTM_NEWQDISC, ENOENT],
  ["of traffic control", RTM_NEWQDISC, EOPNOTSUPP],
  ["of filters", RTM_NEWTFILTER, ENOENT],
])("a kernel that knows nothing %s is an error that says what to load", (_, type, errno) => {
  const error = errorOf(() => setFilter(new Kernel({ [type]: errno }).session, END, 7, PROGRAM));
  expect(error).toBeInstanceOf(OverlayError);
  expect(error).toMatchObject({ code: "unsupported" });
  const { message } = error as OverlayError;
  expect(message).toContain("cannot filter frames on portmesh0");
  expect(message).toContain("modprobe sch_ingress cls_bpf");
});

test.each([
  [RTM_NEWQDISC, EPERM],
  [RTM_NEWTFILTER, EINVAL],
])("another refusal is told as it is", (type, errno) => {
  const error = errorOf(() => setFilter(new Kernel({ [type]: errno }).session, END, 7, PROGRAM));
  expect(error).toBeInstanceOf(NetlinkError);
  expect(error).toMatchObject({ errnoValue: errno });
});

test("a queue that is there already is used", () => {
  const kernel = new Kernel({ [RTM_NEWQDISC]: EEXIST });
  setFilter(kernel.session, END, 7, PROGRAM);
  expect(kernel.changes).toEqual([RTM_NEWTFILTER]);
});
