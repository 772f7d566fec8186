import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProgramWriter } from "../../../../src/wire/classic-bpf.ts";
import {
  AF_BRIDGE,
  decodeAddressMessage,
  decodeLinkMessage,
  decodeNeighbourMessage,
  decodeNetlinkMessages,
  decodeNetlinkOutcome,
  decodeRouteMessage,
  decodeTrafficMessage,
  ETH_P_ALL,
  encodeAddressMessage,
  encodeLinkMessage,
  encodeNeighbourMessage,
  encodeNetlinkMessage,
  encodeRouteMessage,
  encodeTrafficMessage,
  IFF_UP,
  NLMSG_DONE,
  NLMSG_ERROR,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
  RT_SCOPE_LINK,
  RT_TABLE_MAIN,
  RTM_NEWADDR,
  RTN_UNICAST,
  TC_H_INGRESS,
  TC_H_INGRESS_FILTERS,
  TC_H_INGRESS_QUEUE,
  VXLAN_DF_SET,
} from "../../../../src/wire/netlink/index.ts";
import {
  NEW_ADDRESS,
  NEW_FILTER,
  NEW_FORWARDING,
  NEW_INGRESS,
  NEW_NEIGHBOUR,
  NEW_ROUTE,
  NEW_VXLAN,
  SET_LINK,
  VNI_EXISTS,
} from "../../../support/overlay/netlink-vectors.ts";
import {
  addressMessage,
  linkMessage,
  neighbourMessage,
  routeMessage,
  trafficMessage,
} from "../../../support/random/arbitrary-netlink.ts";

const MAC = Uint8Array.of(0x02, 0x42, 0x0a, 0xd2, 0x00, 0x02);

describe("what iproute2 sends reads as what was asked of it", () => {
  test("a new VXLAN device", () => {
    expect(decodeLinkMessage(NEW_VXLAN)).toEqual({
      index: 0,
      flags: 0,
      change: 0,
      name: "vx0",
      kind: "vxlan",
      vxlan: {
        vni: 4242,
        port: 4789,
        localAddress: Uint8Array.of(10, 1, 2, 3),
        isLearning: false,
        sendsChecksum: true,
        dontFragment: VXLAN_DF_SET,
      },
    });
  });

  test("a change of a link", () => {
    const macAddress = Uint8Array.of(2, 0x42, 10, 1, 2, 3);
    expect(decodeLinkMessage(SET_LINK)).toEqual({
      index: 2,
      flags: IFF_UP,
      change: IFF_UP,
      mtuBytes: 1450,
      macAddress,
    });
  });

  test("an address, and the same bytes come of it", () => {
    const address = Uint8Array.of(10, 210, 0, 1);
    const message = { family: 2, prefixLength: 16, scope: 0, interfaceIndex: 2, address, local: address };
    expect(decodeAddressMessage(NEW_ADDRESS)).toEqual(message);
    expect(encodeAddressMessage(message)).toEqual(NEW_ADDRESS);
  });

  test("a route with metrics", () => {
    expect(decodeRouteMessage(NEW_ROUTE)).toEqual({
      family: 2,
      destinationLength: 32,
      table: RT_TABLE_MAIN,
      protocol: 112,
      scope: RT_SCOPE_LINK,
      type: RTN_UNICAST,
      flags: 0,
      destination: Uint8Array.of(10, 210, 0, 2),
      outputInterface: 2,
      mtuBytes: 1400,
      isMtuLocked: true,
      advertisedMssBytes: 1360,
    });
  });

  test("a neighbour, and the same bytes come of it", () => {
    const destination = Uint8Array.of(10, 210, 0, 2);
    const message = {
      family: 2,
      interfaceIndex: 2,
      state: NUD_PERMANENT,
      flags: 0,
      destination,
      macAddress: MAC,
    };
    expect(decodeNeighbourMessage(NEW_NEIGHBOUR)).toEqual(message);
    expect(encodeNeighbourMessage(message)).toEqual(NEW_NEIGHBOUR);
  });

  test("a forwarding entry", () => {
    expect(decodeNeighbourMessage(NEW_FORWARDING)).toEqual({
      family: AF_BRIDGE,
      interfaceIndex: 2,
      state: NUD_PERMANENT | NUD_NOARP,
      flags: NTF_SELF,
      destination: Uint8Array.of(10, 1, 2, 4),
      macAddress: MAC,
      port: 4790,
    });
  });
});

describe("decodeNetlinkOutcome", () => {
  test("an error has the kernel's words", () => {
    const [answer, ...others] = decodeNetlinkMessages(VNI_EXISTS)!;
    expect(others).toEqual([]);
    const text = "A VXLAN device with the specified VNI already exists";
    expect(decodeNetlinkOutcome(answer!)).toEqual({ errno: 17, text });
  });

  test("an acknowledgement has none", () => {
    const payload = new Uint8Array(20);
    const message = { type: NLMSG_ERROR, flags: 0x100, sequence: 1, portId: 1, payload };
    expect(decodeNetlinkOutcome(message)).toEqual({ errno: 0, text: "" });
  });

  test("a dump ends with 0 or an error, which may be left out", () => {
    const done = { type: NLMSG_DONE, flags: 2, sequence: 1, portId: 1 };
    const failed = Uint8Array.of(0xea, 0xff, 0xff, 0xff);
    expect(decodeNetlinkOutcome({ ...done, payload: new Uint8Array(4) })).toEqual({ errno: 0, text: "" });
    expect(decodeNetlinkOutcome({ ...done, payload: new Uint8Array(0) })).toEqual({ errno: 0, text: "" });
    expect(decodeNetlinkOutcome({ ...done, payload: failed })).toEqual({ errno: 22, text: "" });
  });

  test("an error without an error number is malformed", () => {
    const message = { type: NLMSG_ERROR, flags: 0, sequence: 1, portId: 1, payload: new Uint8Array(3) };
    expect(decodeNetlinkOutcome(message)).toBeNull();
  });
});

describe("decodeNetlinkMessages", () => {
  const one = encodeNetlinkMessage({
    type: RTM_NEWADDR,
    flags: 1,
    sequence: 7,
    portId: 9,
    payload: Uint8Array.of(1, 2, 3),
  });

  test("several in a row, padded", () => {
    const message = { type: RTM_NEWADDR, flags: 1, sequence: 7, portId: 9, payload: Uint8Array.of(1, 2, 3) };
    expect(decodeNetlinkMessages(Uint8Array.of(...one, ...one))).toEqual([message, message]);
    expect(decodeNetlinkMessages(new Uint8Array(0))).toEqual([]);
  });

  test.each([
    ["shorter than a header", one.slice(0, 15)],
    ["longer than it is", Uint8Array.of(21, ...one.slice(1))],
    ["shorter than its own header", Uint8Array.of(15, ...one.slice(1))],
    ["something behind it", Uint8Array.of(...one, 1)],
  ])("%s is malformed", (_, bytes) => {
    expect(decodeNetlinkMessages(bytes)).toBeNull();
  });
});

describe("what is written reads the same", () => {
  test("links", () =>
    fc.assert(
      fc.property(linkMessage, (link) => expect(decodeLinkMessage(encodeLinkMessage(link))).toEqual(link)),
    ));
  test("addresses", () =>
    fc.assert(
      fc.property(addressMessage, (address) =>
        expect(decodeAddressMessage(encodeAddressMessage(address))).toEqual(address),
      ),
    ));
  test("neighbours and forwarding entries", () =>
    fc.assert(
      fc.property(neighbourMessage, (neighbour) =>
        expect(decodeNeighbourMessage(encodeNeighbourMessage(neighbour))).toEqual(neighbour),
      ),
    ));
  test("routes", () =>
    fc.assert(
      fc.property(routeMessage, (route) =>
        expect(decodeRouteMessage(encodeRouteMessage(route))).toEqual(route),
      ),
    ));
  test("queues and filters", () =>
    fc.assert(
      fc.property(trafficMessage, (message) =>
        expect(decodeTrafficMessage(encodeTrafficMessage(message))).toEqual(message),
      ),
    ));
});

test("a queue and a filter for received packets are written as tc writes them", () => {
  const interfaceIndex = 2;
  const queue = { interfaceIndex, handle: TC_H_INGRESS_QUEUE, parent: TC_H_INGRESS, kind: "ingress" };
  expect(encodeTrafficMessage(queue)).toEqual(NEW_INGRESS);
  const program = new ProgramWriter().loadHalf(12).return(0).finish();
  const filter = { interfaceIndex, handle: 1, parent: TC_H_INGRESS_FILTERS, kind: "bpf", program };
  const written = encodeTrafficMessage({ ...filter, protocol: ETH_P_ALL, priority: 1 });
  const NESTED = 0x80;
  expect(written.toHex()).toBe(NEW_FILTER.with(31, NESTED).toHex());
  expect(decodeTrafficMessage(NEW_FILTER)).toMatchObject({ priority: 1, protocol: ETH_P_ALL, program });
});

test.each([
  ["link", decodeLinkMessage, NEW_VXLAN],
  ["address", decodeAddressMessage, NEW_ADDRESS],
  ["neighbour", decodeNeighbourMessage, NEW_NEIGHBOUR],
  ["route", decodeRouteMessage, NEW_ROUTE],
  ["filter", decodeTrafficMessage, NEW_FILTER],
] as const)("%s: a message whose last attribute is cut is malformed", (_, decode, bytes) => {
  expect(decode(bytes)).not.toBeNull();
  expect(decode(bytes.slice(0, -3))).toBeNull();
  expect(decode(bytes.slice(0, 7))).toBeNull();
});
