/** Generated rtnetlink messages, each with what is optional sometimes there and sometimes not. */
import fc from "fast-check";
import type {
  AddressMessage,
  LinkCounters,
  LinkMessage,
  NeighbourMessage,
  RouteMessage,
  TrafficMessage,
  VxlanLink,
} from "../../../src/wire/netlink/index.ts";
import { ipv4Bytes, ipv6Bytes } from "./arbitrary-ip.ts";

const uint8 = fc.nat(0xff);
const uint16 = fc.nat(0xffff);
const uint32 = fc.nat(0xffffffff);
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const ip = fc.oneof(ipv4Bytes, ipv6Bytes);
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const text = fc.string({ unit: "binary", maxLength: 40 }).filter((value) => !value.includes("\0"));

/** What is absent reads as undefined. */
function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

const vxlan: fc.Arbitrary<VxlanLink> = fc.record({
  vni: optional(fc.nat(0xffffff)),
  port: optional(uint16),
  localAddress: optional(ip),
  remoteAddress: optional(ip),
  isLearning: optional(fc.boolean()),
  sendsChecksum: optional(fc.boolean()),
  sendsZeroChecksum6: optional(fc.boolean()),
  takesZeroChecksum6: optional(fc.boolean()),
  dontFragment: optional(uint8),
  isExternal: optional(fc.boolean()),
});

const counters: fc.Arbitrary<LinkCounters> = fc.record({
  receivedPackets: fc.maxSafeNat(),
  sentPackets: fc.maxSafeNat(),
  receivedBytes: fc.maxSafeNat(),
  sentBytes: fc.maxSafeNat(),
  receiveErrors: fc.maxSafeNat(),
  sendErrors: fc.maxSafeNat(),
  receiveDropped: fc.maxSafeNat(),
  sendDropped: fc.maxSafeNat(),
});

export const linkMessage: fc.Arbitrary<LinkMessage> = fc
  .record({
    index: int32,
    flags: uint32,
    change: uint32,
    name: optional(text),
    mtuBytes: optional(uint32),
    macAddress: optional(mac),
    alias: optional(text),
    group: optional(uint32),
    gsoMaxBytes: optional(uint32),
    groMaxBytes: optional(uint32),
    gsoIpv4MaxBytes: optional(uint32),
    groIpv4MaxBytes: optional(uint32),
    ipv6AddressMode: optional(uint8),
    ipv4Settings: optional(fc.array(int32, { maxLength: 40 })),
    kind: optional(fc.oneof(fc.constant("vxlan"), text)),
    vxlan: optional(vxlan),
    counters: optional(counters),
  })
  .map((link) => ({ ...link, vxlan: link.kind === "vxlan" ? link.vxlan : undefined }));

export const addressMessage: fc.Arbitrary<AddressMessage> = fc.record({
  family: uint8,
  prefixLength: uint8,
  scope: uint8,
  interfaceIndex: uint32,
  flags: optional(uint32),
  address: optional(ip),
  local: optional(ip),
});

export const neighbourMessage: fc.Arbitrary<NeighbourMessage> = fc.record({
  family: uint8,
  interfaceIndex: int32,
  state: uint16,
  flags: uint8,
  destination: optional(ip),
  macAddress: optional(mac),
  port: optional(uint16),
  vni: optional(uint32),
});

export const routeMessage: fc.Arbitrary<RouteMessage> = fc
  .record({
    family: uint8,
    destinationLength: uint8,
    table: uint32,
    protocol: uint8,
    scope: uint8,
    type: uint8,
    flags: uint32,
    destination: optional(ip),
    outputInterface: optional(uint32),
    gateway: optional(ip),
    priority: optional(uint32),
    preferredSource: optional(ip),
    mtuBytes: optional(uint32),
    isMtuLocked: fc.boolean(),
    advertisedMssBytes: optional(uint32),
  })
  .map((route) => ({ ...route, isMtuLocked: route.mtuBytes === undefined ? undefined : route.isMtuLocked }));

export const trafficMessage: fc.Arbitrary<TrafficMessage> = fc
  .record({
    interfaceIndex: int32,
    handle: uint32,
    parent: uint32,
    protocol: uint16,
    priority: uint16,
    kind: optional(fc.oneof(fc.constant("bpf"), text)),
    program: optional(fc.uint8Array({ maxLength: 80 }).map((bytes) => bytes.subarray(0, bytes.length & ~7))),
    drops: optional(uint32),
  })
  .map((message) => ({ ...message, program: message.kind === "bpf" ? message.program : undefined }));
