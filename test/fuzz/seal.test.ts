/**
 * The reader of seals on changed, cut, mixed and made-up datagrams, one by one and in bursts cut anywhere. FUZZ_RUNS sets
 * how many (default 30000), SEED repeats a run. Checked every time: no exception, what is read is written back as the
 * same bytes, nothing is given out but what the peer has sealed and once, no more places are taken than there are.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { decodeControl, encodeControl } from "../../src/overlay/seal/control-message.ts";
import { refuseInner } from "../../src/overlay/seal/inner-packet.ts";
import { PLACES } from "../../src/overlay/seal/reassembly.ts";
import {
  decodeSealDatagram,
  SEAL_HEADER_BYTES,
  SealDatagram,
  writeSealHeader,
} from "../../src/wire/index.ts";
import { innerPacket, sealedPair } from "../support/overlay/sealed-pair.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 30_000);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests

const seeded = Seeded.fromEnvironment();
const mutator = new ByteMutator(seeded);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => seeded.below(256));
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}

test("a header that is read is written back as the same bytes", () => {
  const { a } = sealedPair();
  const datagram = new SealDatagram();
  let read = 0;
  for (let run = 0; run < RUNS; run++) {
    const seal = a.seal(bytesOf(1 + seeded.below(300)), 1 + seeded.below(120)).slice(0, 64);
    const bytes = mutator.mutate(seeded.pick(seal), seeded.pick(seal));
    if (!decodeSealDatagram(bytes, viewOf(bytes), 0, bytes.length, datagram)) continue;
    read++;
    const written = new Uint8Array(SEAL_HEADER_BYTES);
    writeSealHeader(written, viewOf(written), 0, datagram);
    written[1] = datagram.index;
    expect(hex(written)).toBe(hex(bytes.subarray(0, SEAL_HEADER_BYTES)));
  }
  expect(read).toBeGreaterThan(RUNS / 10);
});

test("nothing is given out but what the peer has sealed, and once", () => {
  const { a, b } = sealedPair({ limits: { ageMs: Number.POSITIVE_INFINITY, bytes: 50_000 } });
  /** Of the latest seals: bounded, for most of it is replayed from here. */
  let recent: Uint8Array[] = [bytesOf(40)];
  const sealed = new Set<string>();
  let given = 0;
  for (let run = 0; run < RUNS; run++) {
    const packet = innerPacket(seeded.below(900), seeded.below(256));
    new DataView(packet.buffer).setUint32(10 + 4, run);
    sealed.add(hex(packet));
    const seal = a.seal(packet, 20 + seeded.below(400)).slice(0, 64);
    recent = [...recent, ...seal].slice(-100);
    const datagrams = seal.map((datagram) => mutator.mutate(datagram, seeded.pick(recent)));
    datagrams.push(seeded.pick(recent), bytesOf(seeded.below(60)));
    if (seeded.below(2) === 0) datagrams.reverse();
    b.isFromPeer = seeded.below(10) > 0;
    b.receive(seeded.below(2) === 0 ? datagrams : [datagrams]);
    a.peer.onConfirmed();
    expect(b.peer.reassembly.pending).toBeLessThanOrEqual(PLACES);
    for (const out of b.packets.splice(0)) {
      expect(sealed.delete(hex(out))).toBe(true);
      given++;
    }
  }
  expect(given).toBeGreaterThan(RUNS / 20);
  expect(a.peer.sending.current.epoch).toBeGreaterThan(0);
  expect(b.controls).toEqual([]);
});

test("what members say inside a seal is read or refused", () => {
  const report = encodeControl({ type: 3, parts: 9, lostParts: 1, seals: 4, lostSeals: 2 });
  const answer = encodeControl({ type: 2, id: 7, size: 1400 });
  for (let run = 0; run < RUNS; run++) {
    const bytes = mutator.mutate(seeded.pick([report, answer]), report);
    const message = decodeControl(bytes);
    if (message !== null && message.type !== 1)
      expect(decodeControl(encodeControl(message))).toEqual(message);
    const packet = mutator.mutate(innerPacket(seeded.below(60)), bytes);
    const refusal = refuseInner(packet, 0x0ac80001, 0x0ac80002);
    if (refusal === null) expect(hex(packet.subarray(22, 30))).toBe("0ac800010ac80002");
  }
});
