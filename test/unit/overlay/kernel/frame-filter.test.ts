/** The filter of the kernel's device, run over frames, against what it says in words. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { macOf } from "../../../../src/overlay/index.ts";
import {
  frameFilter,
  MEMBERS_MAX,
  PORTS_MAX,
  type RelayFilter,
} from "../../../../src/overlay/kernel/frame-filter.ts";
import { ACCEPT_FRAME, DROP_FRAME } from "../../../../src/overlay/rtnetlink/index.ts";
import { RELAY_SOURCE_PORT_MIN } from "../../../../src/wire/index.ts";
import { runProgram } from "../../../support/os/bpf-machine.ts";

const OWN = "10.200.0.1";
const MEMBER = "10.200.0.2";
const STRANGER = "10.200.0.9";
const TCP = 6;
const UDP = 17;
const SYN = 0x02;
const ACK = 0x10;
const RELAYS: RelayFilter = {
  own: { tcp: 4789, udp: [4790, 4791] },
  memberTcp: [4789, 5789],
  memberUdp: [4790, 5790],
};

interface Frame {
  readonly to?: Uint8Array;
  readonly ethertype?: number;
  readonly version?: number;
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  /** More fragments is 0x2000, the rest the offset. */
  readonly fragment?: number;
  readonly sourcePort?: number;
  readonly port?: number;
  readonly flags?: number;
  /** Of all of it. */
  readonly length?: number;
}

function frame(changes: Frame = {}): Buffer {
  const { to = macOf(OWN), ethertype = 0x0800, version = 0x45, protocol = UDP, fragment = 0 } = changes;
  const {
    source = MEMBER,
    destination = OWN,
    sourcePort = 40_000,
    port = 4790,
    flags = SYN,
    length = 74,
  } = changes;
  const bytes = Buffer.alloc(200);
  bytes.set(to, 0);
  bytes.set(macOf(MEMBER), 6);
  bytes.writeUInt16BE(ethertype, 12);
  bytes[14] = version;
  bytes.writeUInt16BE(fragment, 20);
  bytes[23] = protocol;
  bytes.set(source.split(".").map(Number), 26);
  bytes.set(destination.split(".").map(Number), 30);
  bytes.writeUInt16BE(sourcePort, 34);
  bytes.writeUInt16BE(port, 36);
  bytes[47] = flags;
  return bytes.subarray(0, length);
}

const isTaken = (program: Uint8Array, changes: Frame) => {
  const verdict = runProgram(program, frame(changes));
  expect([ACCEPT_FRAME, DROP_FRAME]).toContain(verdict);
  return verdict === ACCEPT_FRAME;
};

const open = frameFilter({ address: OWN, members: [MEMBER], relays: null });
const closed = frameFilter({ address: OWN, members: [MEMBER], relays: RELAYS });

describe.each([
  ["everything of members", open],
  ["relays only", closed],
])("%s: never taken is", (_, program) => {
  test.each<[string, Frame]>([
    ["what is not from a member", { source: STRANGER }],
    ["what is said to be from this node", { source: OWN }],
    ["what is to be forwarded", { destination: "172.17.0.2" }],
    ["what is for another address of this node", { destination: "192.0.2.1" }],
    ["a broadcast", { destination: "10.200.255.255" }],
    ["a multicast", { destination: "224.0.0.251" }],
    ["what is for all machines on the wire", { to: new Uint8Array(6).fill(0xff) }],
    ["what is for another machine on the wire", { to: macOf(STRANGER) }],
    ["ARP", { ethertype: 0x0806 }],
    ["IPv6", { ethertype: 0x86dd }],
    ["a VLAN's", { ethertype: 0x8100 }],
    ["IPv6 that says it is IPv4", { version: 0x65 }],
    ["an IPv4 header with options", { version: 0x46 }],
    ["a cut IPv4 header", { length: 33 }],
    ["an Ethernet header alone", { length: 14 }],
    ["a byte", { length: 1 }],
    ["nothing", { length: 0 }],
  ])("%s", (_what, changes) => {
    expect(isTaken(program, changes)).toBe(false);
  });
});

test("everything of members: any protocol and port is taken", () => {
  for (const changes of [
    { protocol: 1 },
    { protocol: TCP, port: 80 },
    { port: 53 },
    { fragment: 0x2001 },
    { length: 34 },
  ])
    expect(isTaken(open, changes)).toBe(true);
});

test.each<[string, Frame, boolean]>([
  ["UDP to the port of relays", { port: 4790 }, true],
  ["UDP to the port of probes", { port: 4791 }, true],
  ["UDP to another port", { port: 53 }, false],
  ["UDP from a member's relay to a link", { sourcePort: 5790, port: RELAY_SOURCE_PORT_MIN }, true],
  ["UDP from a member's relay to the last port", { sourcePort: 4790, port: 65_535 }, true],
  ["UDP from a member's relay to another port", { sourcePort: 4790, port: RELAY_SOURCE_PORT_MIN - 1 }, false],
  ["UDP from elsewhere to a link", { sourcePort: 4792, port: RELAY_SOURCE_PORT_MIN }, false],
  ["the first fragment of UDP to the port of relays", { fragment: 0x2000 }, true],
  ["the first fragment of UDP to another port", { fragment: 0x2000, port: 53 }, false],
  ["a later fragment of UDP", { fragment: 0x2001, length: 35 }, true],
  ["the last fragment of UDP", { fragment: 0x0100, length: 35 }, true],
  ["UDP without its ports", { length: 41 }, false],
  ["TCP that opens a connection to the relay", { protocol: TCP, port: 4789 }, true],
  ["TCP that opens a connection elsewhere", { protocol: TCP, port: 80 }, false],
  ["TCP from a member's relay", { protocol: TCP, sourcePort: 5789, port: 40_000, flags: ACK }, true],
  ["TCP from a member's relay that accepts", { protocol: TCP, sourcePort: 4789, flags: SYN | ACK }, true],
  ["TCP from a member's relay that opens", { protocol: TCP, sourcePort: 4789, port: 80, flags: SYN }, false],
  [
    "TCP from a member's relay that opens and pushes",
    { protocol: TCP, sourcePort: 4789, flags: SYN | 0x08 },
    false,
  ],
  ["TCP from elsewhere", { protocol: TCP, sourcePort: 80, port: 40_000, flags: ACK }, false],
  ["the first fragment of TCP", { protocol: TCP, port: 4789, fragment: 0x2000 }, false],
  ["a later fragment of TCP", { protocol: TCP, port: 4789, fragment: 1 }, false],
  ["TCP without its flags", { protocol: TCP, port: 4789, length: 53 }, false],
  ["ICMP", { protocol: 1 }, false],
  ["a later fragment of ICMP", { protocol: 1, fragment: 1 }, false],
  ["SCTP", { protocol: 132, port: 4789 }, false],
])("relays only: %s", (_, changes, expected) => {
  expect(isTaken(closed, changes)).toBe(expected);
});

test("of any number of members each is known and none of their neighbours", () => {
  for (const count of [0, 1, 8, 9, 17, 255, 256, MEMBERS_MAX]) {
    const members = Array.from(
      { length: count },
      (_, index) => `10.200.${(index * 3) >> 8}.${(index * 3) & 0xff}`,
    );
    const own = "10.201.0.1";
    const ports = Array.from({ length: PORTS_MAX }, (_, index) => 4789 + index);
    const relays = { own: { tcp: 4789, udp: [4790, 4791] }, memberTcp: ports, memberUdp: ports };
    const program = frameFilter({ address: own, members, relays });
    // what the kernel takes, and what it can tell of in one message
    expect(program.length / 8).toBeLessThan(3_900);
    for (let index = 0; index < 3 * count + 3; index++) {
      const source = `10.200.${index >> 8}.${index & 0xff}`;
      const isMember = index % 3 === 0 && index / 3 < count;
      expect(isTaken(program, { to: macOf(own), destination: own, source })).toBe(isMember);
    }
  }
});

test("no frame of any bytes makes it read beyond its end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(80), (noise, length) => {
      const bytes = Buffer.from(frame({ length: 80 }));
      bytes.set(noise.subarray(0, Math.min(noise.length, 12)), 14 + 20);
      bytes[23] = noise[0] ?? 0;
      bytes[21] = noise[1] ?? 0;
      for (const program of [open, closed])
        expect([ACCEPT_FRAME, DROP_FRAME]).toContain(runProgram(program, bytes.subarray(0, length)));
    }),
  );
});
