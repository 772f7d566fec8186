import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PLACES } from "../../../../src/overlay/seal/reassembly.ts";
import {
  innerPacket,
  OTHER,
  OWN,
  SECRET,
  SealedEnd,
  sealedPair,
} from "../../../support/overlay/sealed-pair.ts";

const LARGE = 60_000;
const OTHER_SECRET = "22".repeat(32);

function shuffled<T>(list: readonly T[], seeds: readonly number[]): T[] {
  const rest = [...list];
  return seeds.flatMap((seed) => rest.splice(seed % Math.max(1, rest.length), 1)).concat(rest);
}

describe("a seal is opened", () => {
  test.each([0, 1, 1396, 1406, 1407, 1410, 5_000, LARGE])("of %d bytes that came as one burst", (payload) => {
    const { a, b } = sealedPair();
    const packet = innerPacket(payload);
    b.receive([a.seal(packet)]);
    expect(b.packets).toEqual([packet]);
    expect(b.rejected).toEqual({});
  });

  test("of parts in any order, mixed with those of others, as often as they come: whole and once", () => {
    const sizes = fc.array(fc.nat(9_000), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.nat(1_000), { maxLength: 60 }),
        fc.boolean(),
        (payloads, order, isDoubled) => {
          const { a, b } = sealedPair();
          const packets = payloads.map((payload, index) => innerPacket(payload, index));
          const datagrams = packets.flatMap((packet) => a.seal(packet));
          b.receive(shuffled(isDoubled ? [...datagrams, ...datagrams] : datagrams, order));
          const key = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
          expect(b.packets.map(key).sort()).toEqual(packets.map(key).sort());
        },
      ),
    );
  });

  test("only whole: with parts lost it is nothing, and the others are not harmed", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { minLength: 1, maxLength: 30 }), fc.nat(4), (payloads, every) => {
        const { a, b } = sealedPair();
        let sent = 0;
        const whole: Uint8Array[] = [];
        for (const payload of payloads) {
          const packet = innerPacket(payload);
          const seal = a.seal(packet);
          const arrived = seal.filter(() => sent++ % (every + 2) !== 0);
          if (arrived.length === seal.length) whole.push(packet);
          b.receive(arrived);
        }
        expect(b.packets).toEqual(whole);
        expect(b.rejected).toEqual({});
      }),
    );
  });

  test("of bursts that the network has joined or cut elsewhere", () => {
    const { a, b } = sealedPair();
    const packets = [innerPacket(5_000, 1), innerPacket(5_000, 2)];
    const [first, second] = packets.map((packet) => a.seal(packet)) as [Uint8Array[], Uint8Array[]];
    b.receive([
      first.slice(0, 2),
      [...first.slice(2, 3), ...second.slice(0, 2)],
      first.slice(3),
      second.slice(2),
    ]);
    expect(b.packets).toEqual(packets);
  });

  test("under the next keys, the one before is taken for a while", () => {
    const { a, b } = sealedPair({ limits: { ageMs: Number.POSITIVE_INFINITY, bytes: 10_000 } });
    const late = a.seal(innerPacket(100, 9));
    for (let i = 0; i < 100; i++) {
      b.receive([a.seal(innerPacket(3_000, i))]);
      a.peer.onConfirmed();
    }
    expect(b.packets).toHaveLength(100);
    expect(b.rejected).toEqual({});
    b.receive([late]);
    expect(b.rejected).toEqual({ "unknown-key": 1 });
    expect(a.peer.sending.current.epoch).toBeGreaterThan(10);
  });

  test("while secrets change on one side after the other", () => {
    const { a, b } = sealedPair();
    const exchange = () => {
      b.receive([a.seal(innerPacket(3_000))]);
      a.receive([b.seal(innerPacket(3_000, 7, OTHER, OWN))]);
    };
    const change = (end: SealedEnd, secrets: string[]) => {
      end.peer.changeSecrets(secrets, 0);
      end.receiver.setPeers([end.peer]);
    };
    for (const secrets of [[SECRET], [SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET], [OTHER_SECRET]]) {
      for (const end of [a, b]) {
        change(end, secrets);
        exchange();
      }
    }
    expect([a.packets.length, b.packets.length]).toEqual([8, 8]);
    expect([a.rejected, b.rejected]).toEqual([{}, {}]);
    expect(a.seal(innerPacket(1)).length).toBe(1);
  });
});

describe("refused and counted", () => {
  const given = (change: (datagrams: Uint8Array[]) => unknown, payload = 3_000) => {
    const { a, b } = sealedPair();
    const datagrams = a.seal(innerPacket(payload)).map((datagram) => Buffer.from(datagram));
    change(datagrams);
    b.receive(datagrams);
    expect(b.packets).toEqual([]);
    return b.rejected;
  };

  test.each([
    ["a flipped bit in the seal", 100, "bad-tag"],
    ["a flipped bit in the tag", 3_045, "bad-tag"],
    ["another counter", 14, "bad-tag"],
  ] as const)("%s", (_, at, reason) => {
    const { a, b } = sealedPair();
    const bytes = Buffer.concat(a.seal(innerPacket(3_000), 4_000));
    bytes[at]! ^= 1;
    b.receive([bytes]);
    expect([b.packets, b.rejected]).toEqual([[], { [reason]: 1 }]);
  });

  test("parts that changed places", () => {
    const { a, b } = sealedPair();
    const [first, second, third] = a.seal(innerPacket(3_000)) as [Buffer, Buffer, Buffer];
    [first[1], second[1]] = [second[1]!, first[1]!];
    b.receive([second, first, third]);
    expect([b.packets, b.rejected]).toEqual([[], { "bad-tag": 3 }]);
  });

  test("a burst or a part that was opened before", () => {
    const { a, b } = sealedPair();
    const seal = a.seal(innerPacket(3_000));
    b.receive([seal, seal, seal[0]!]);
    expect([b.packets.length, b.rejected]).toEqual([1, { replay: 4 }]);
  });

  test("counters that have left the window", () => {
    const { a, b } = sealedPair();
    const old = a.seal(innerPacket(10));
    for (let i = 0; i < 2_100; i++) b.receive([a.seal(innerPacket(10))]);
    b.receive([old]);
    expect(b.rejected).toEqual({ replay: 1 });
  });

  test("another pair's secret, and this node's own seals", () => {
    const { a, b } = sealedPair();
    const stranger = new SealedEnd({ own: OWN, other: OTHER, secrets: [OTHER_SECRET] });
    b.receive([stranger.seal(innerPacket(3_000))]);
    a.receive([a.seal(innerPacket(10))]);
    expect([b.rejected, a.rejected]).toEqual([{ "unknown-key": 3 }, { "unknown-key": 1 }]);
  });

  test("parts from another address than the peer's, before they take any room", () => {
    const { a, b } = sealedPair();
    b.isFromPeer = false;
    b.receive(a.seal(innerPacket(3_000)));
    expect([b.peer.reassembly.pending, b.rejected]).toEqual([0, { "wrong-source": 3 }]);
  });

  test.each([
    [
      "cut short",
      (datagrams: Uint8Array[]): unknown => (datagrams[0] = datagrams[0]!.subarray(0, 20)),
      "short",
    ],
    [
      "a part that is too short",
      (datagrams: Uint8Array[]): unknown => (datagrams[0] = datagrams[0]!.subarray(0, 999)),
      "malformed",
    ],
    ["another first byte", (datagrams: Uint8Array[]): unknown => (datagrams[0]![0] = 0x53), "malformed"],
    ["an index beyond the count", (datagrams: Uint8Array[]): unknown => (datagrams[0]![1] = 9), "malformed"],
  ] as const)("%s", (_, change, reason) => {
    expect(given(change)).toEqual({ [reason]: 1 });
  });

  test.each([
    ["from another node's address", innerPacket(10, 7, "10.200.0.3"), "spoofed-inner-source"],
    ["for another node", innerPacket(10, 7, OWN, "10.200.0.3"), "not-for-us"],
    ["no IP packet", new Uint8Array(50), "malformed-inner"],
    [
      "a virtio header that points beyond the packet",
      Buffer.from(innerPacket(10)).fill(1, 0, 1).fill(255, 6, 7),
      "malformed-inner",
    ],
    ["an unknown kind of super-packet", Buffer.from(innerPacket(10)).fill(9, 1, 2), "malformed-inner"],
    ["a length that is not the packet's", innerPacket(10).subarray(0, 39), "malformed-inner"],
  ] as const)("an inner packet %s", (_, packet, reason) => {
    const { a, b } = sealedPair();
    b.receive([a.seal(packet)]);
    expect([b.packets, b.rejected]).toEqual([[], { [reason]: 1 }]);
  });
});

test("seals that are begun and never end take no more than their places", () => {
  const { a, b } = sealedPair();
  for (let i = 0; i < 10 * PLACES; i++) b.receive(a.seal(innerPacket(3_000)).slice(0, 2));
  expect(b.peer.reassembly.pending).toBe(PLACES);
  const packet = innerPacket(9_000);
  b.receive(a.seal(packet).toReversed());
  expect(b.packets).toEqual([packet]);
});

test("whatever comes, nothing is thrown and nothing is given out that the peer has not sealed", () => {
  const { a, b } = sealedPair();
  const known = a.seal(innerPacket(4_000));
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.array(fc.tuple(fc.nat(1_471), fc.nat(255)), { minLength: 1 }),
      (index, changes) => {
        const forged = Buffer.from(known[index]!);
        for (const [at, value] of changes) if (at !== 1) forged[at % forged.length] = value;
        if (Buffer.compare(forged, known[index]!) === 0) return;
        b.receive([forged, [forged, ...known.slice(1)]]);
        expect(b.packets).toEqual([]);
      },
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      b.receive([bytes]);
      expect(b.packets).toEqual([]);
    }),
  );
});
