import { describe, expect, test } from "bun:test";
import { PAIRS_MAX, PairKeyCache } from "../../../../src/overlay/seal/pair-key-cache.ts";
import { innerPacket, OTHER, OWN, SECRET, SealedEnd } from "../../../support/overlay/sealed-pair.ts";

const OTHER_SECRET = "22".repeat(32);

/** Key id and counter of a datagram: what must never come twice, for the nonce is made of them. */
function nonceOf(datagram: Uint8Array): string {
  return Buffer.from(datagram.subarray(4, 16)).toString("hex");
}

describe("a peer that leaves and comes back with the same secret", () => {
  const own = { own: OWN, other: OTHER };
  const other = { own: OTHER, other: OWN };

  test("is never sent a nonce that was used before", () => {
    const cache = new PairKeyCache();
    const seen = new Set<string>();
    for (let visit = 0; visit < 5; visit++) {
      const a = new SealedEnd({ ...own, cache });
      for (let i = 0; i < 3; i++) seen.add(nonceOf(a.seal(innerPacket(10))[0]!));
    }
    expect(seen.size).toBe(15);
  });

  test("is understood by who has kept it, and understands who has kept it", () => {
    const limits = { ageMs: Number.POSITIVE_INFINITY, bytes: 1_000 };
    const [cacheA, cacheB] = [new PairKeyCache(), new PairKeyCache()];
    let a = new SealedEnd({ ...own, limits, cache: cacheA });
    let b = new SealedEnd({ ...other, limits, cache: cacheB });
    for (let round = 0; round < 12; round++) {
      if (round % 3 === 1) a = new SealedEnd({ ...own, limits, cache: cacheA });
      if (round % 3 === 2) b = new SealedEnd({ ...other, limits, cache: cacheB });
      b.receive(a.seal(innerPacket(1_200)));
      a.receive(b.seal(innerPacket(1_200, 7, OTHER, OWN)));
      a.peer.onConfirmed();
      b.peer.onConfirmed();
      expect([a.rejected, b.rejected]).toEqual([{}, {}]);
    }
    expect(a.peer.sending.current.epoch).toBeGreaterThan(5);
  });

  test("takes no seal that it had taken before it left", () => {
    const a = new SealedEnd(own);
    const cache = new PairKeyCache();
    const seal = a.seal(innerPacket(10));
    const before = new SealedEnd({ ...other, cache });
    before.receive(seal);
    expect(before.packets).toHaveLength(1);
    const after = new SealedEnd({ ...other, cache });
    after.receive(seal);
    expect([after.packets, after.rejected]).toEqual([[], { replay: 1 }]);
  });
});

test("a secret that is first again goes on where it was left", () => {
  const a = new SealedEnd({ own: OWN, other: OTHER });
  const first = nonceOf(a.seal(innerPacket(10))[0]!);
  a.peer.changeSecrets([OTHER_SECRET, SECRET], 0);
  a.seal(innerPacket(10));
  a.peer.changeSecrets([SECRET, OTHER_SECRET], 0);
  expect(nonceOf(a.seal(innerPacket(10))[0]!)).not.toBe(first);
});

test("keys of those that were asked for longest ago make room", () => {
  const cache = new PairKeyCache();
  const keysOf = (index: number) =>
    cache.keysOf(index.toString(16).padStart(64, "0"), { ownAddress: OWN, peerAddress: OTHER, nowMs: 0 });
  const [kept, forgotten] = [keysOf(0), keysOf(1)];
  for (let i = 2; i < PAIRS_MAX; i++) keysOf(i);
  expect(keysOf(0)).toBe(kept);
  keysOf(PAIRS_MAX);
  expect(cache.size).toBe(PAIRS_MAX);
  expect(keysOf(0)).toBe(kept);
  expect(keysOf(1)).not.toBe(forgotten);
});

describe("a peer that nothing arrives at for long", () => {
  test("is still understood when the way is there again", () => {
    const limits = { ageMs: 1_000, bytes: Number.POSITIVE_INFINITY };
    const a = new SealedEnd({ own: OWN, other: OTHER, limits });
    const b = new SealedEnd({ own: OTHER, other: OWN, limits });
    for (a.nowMs = 0; a.nowMs < 100_000; a.nowMs += 500) a.seal(innerPacket(10));
    b.receive(a.seal(innerPacket(10)));
    expect([b.packets.length, b.rejected]).toEqual([1, {}]);
  });

  test("is not waited for beyond what a key may seal", () => {
    const limits = { ageMs: Number.POSITIVE_INFINITY, bytes: 1_000 };
    const a = new SealedEnd({ own: OWN, other: OTHER, limits });
    for (let i = 0; i < 100; i++) a.seal(innerPacket(970));
    expect(a.peer.sending.current.epoch).toBeGreaterThan(4);
  });
});
