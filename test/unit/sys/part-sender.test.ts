/** Seals as datagrams of loopback: what arrives is what was given, cut where it should be, whichever way it was sent. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { check } from "../../../src/sys/errno.ts";
import { MAX_SEALS, type OutgoingSeal, PartSender } from "../../../src/sys/part-sender.ts";
import { AF_INET, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { close, udpSocket } from "../../../src/sys/socket.ts";
import { UdpPeer } from "../../support/load/udp-peer.ts";
import { waitFor } from "../../support/time/wait-for.ts";

const TAG_BYTES = 16;
const INDEX_AT = 1;
const sender = new PartSender();
let fd: number;
let receiver: UdpPeer;
let name: Uint8Array;

beforeAll(async () => {
  fd = check("socket", udpSocket(AF_INET));
  receiver = await UdpPeer.open();
  name = new Uint8Array(16);
  writeSockaddr(name, 0, Uint8Array.of(127, 0, 0, 1), receiver.port);
});

afterAll(() => {
  receiver.close();
  close(fd);
});

/** @param short how many bytes less than a chunk the last part has */
function sealOf(parts: number, chunk: number, short: number): OutgoingSeal {
  const ciphertext = randomBytes(
    Math.max(parts * chunk - short, (parts - 1) * chunk + 1, TAG_BYTES + 1) - TAG_BYTES,
  );
  return {
    header: randomBytes(20),
    indexAt: INDEX_AT,
    ciphertext,
    tag: randomBytes(TAG_BYTES),
    chunk,
    parts,
    name,
  };
}

/** The datagrams of a seal, made the slow way. */
function datagramsOf({ header, ciphertext, tag, chunk, parts }: OutgoingSeal): Buffer[] {
  const sealed = Buffer.concat([ciphertext, tag]);
  return Array.from({ length: parts }, (_, part) => {
    const own = Buffer.from(header);
    own[INDEX_AT] = part;
    return Buffer.concat([own, sealed.subarray(part * chunk, (part + 1) * chunk)]);
  });
}

async function arrive(expected: readonly Buffer[]): Promise<void> {
  await waitFor(() => receiver.received.length >= expected.length, { what: "the datagrams" });
  expect(receiver.received.splice(0).map(({ data }) => data)).toEqual([...expected]);
}

const seals = fc
  .record({
    parts: fc.integer({ min: 1, max: 40 }),
    chunk: fc.integer({ min: 20, max: 1400 }),
    short: fc.nat(1400),
  })
  .map(({ parts, chunk, short }) => sealOf(parts, chunk, Math.min(short, chunk - 1)));

test("several in one call, each cut by the kernel", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(seals, { minLength: 1, maxLength: 4 }), async (outgoing) => {
      for (const seal of outgoing) sender.add(seal);
      expect(outgoing.map((_, index) => sender.partsOf(index))).toEqual(outgoing.map(({ parts }) => parts));
      expect(sender.send(fd, 0, outgoing.length)).toBe(outgoing.length);
      sender.clear();
      await arrive(outgoing.flatMap(datagramsOf));
    }),
    { numRuns: 60 },
  );
});

test("one in single datagrams, from any part on", async () => {
  await fc.assert(
    fc.asyncProperty(seals, fc.nat(39), async (seal, from) => {
      sender.add(sealOf(2, 100, 0));
      sender.add(seal);
      const first = Math.min(from, seal.parts - 1);
      expect(sender.sendSingly(fd, 1, first)).toBe(seal.parts - first);
      sender.clear();
      await arrive(datagramsOf(seal).slice(first));
    }),
    { numRuns: 60 },
  );
});

test("it is full with as many as it holds, and empty once cleared", () => {
  for (let seal = 0; seal < MAX_SEALS; seal++) {
    expect(sender.isFull).toBe(false);
    sender.add(sealOf(1, 100, 0));
  }
  expect(sender.isFull).toBe(true);
  sender.clear();
  expect([sender.isFull, sender.seals]).toEqual([false, 0]);
});

test("a send that the kernel refuses is reported with its errno", () => {
  sender.add(sealOf(2, 100, 0));
  expect(sender.send(-1, 0, 1)).toBe(-9);
  sender.clear();
});
