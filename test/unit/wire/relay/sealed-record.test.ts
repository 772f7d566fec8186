import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  RECORD_END,
  RECORD_HEADER_BYTES,
  RECORD_MAX_BYTES,
  RECORD_MAX_PLAIN_BYTES,
  RECORD_OVERHEAD_BYTES,
  RECORD_STREAM,
  RecordOpener,
  RecordSealer,
  recordLength,
} from "../../../../src/wire/index.ts";
import { GCMS } from "../../../support/overlay/gcm.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);

function sealed(sealer: RecordSealer, plain: Uint8Array, kind = RECORD_STREAM): Uint8Array {
  const out = new Uint8Array(plain.length + RECORD_OVERHEAD_BYTES);
  expect(sealer.seal(kind, plain, 0, plain.length, out, 0)).toBe(out.length);
  return out;
}

function opened(opener: RecordOpener, record: Uint8Array): Uint8Array | null {
  const out = new Uint8Array(record.length - RECORD_OVERHEAD_BYTES);
  return opener.open(record, 0, record.length, out, 0) ? out : null;
}

/** The same by another implementation. */
async function oracle(number: number, header: Uint8Array, plain: Uint8Array): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", KEY, "AES-GCM", false, ["encrypt"]);
  const iv = new Uint8Array(12);
  iv.set(header);
  new DataView(iv.buffer).setBigUint64(4, BigInt(number));
  const options = { name: "AES-GCM", iv };
  return new Uint8Array(await crypto.subtle.encrypt(options, key, plain as Uint8Array<ArrayBuffer>));
}

const plaintext = fc.uint8Array({ minLength: 1, maxLength: 300 });

describe.each(GCMS)("RecordSealer %s", (_, gcm) => {
  test("seals as AES-256-GCM does, with the record's header and number as nonce", async () => {
    const sealer = new RecordSealer(KEY, gcm);
    for (let number = 0; number < 300; number++) {
      const plain = new Uint8Array((number * 37) % 1000 || 1).fill(number);
      const record = sealed(sealer, plain);
      const header = record.slice(0, RECORD_HEADER_BYTES);
      expect(header).toEqual(Uint8Array.of(1, 0, plain.length >> 8, plain.length));
      const sealedBytes = await oracle(number, header, plain);
      expect(record.slice(RECORD_HEADER_BYTES).toHex()).toBe(sealedBytes.toHex());
    }
    const end = sealed(sealer, new Uint8Array(0), RECORD_END);
    expect(end.slice(0, 4)).toEqual(Uint8Array.of(2, 0, 0, 0));
    const sealedEnd = await oracle(300, end.slice(0, 4), new Uint8Array(0));
    expect(end.slice(4).toHex()).toBe(sealedEnd.toHex());
  });

  test("writes within its bounds, at any place of its memory", () => {
    fc.assert(
      fc.property(plaintext, fc.nat(50), fc.nat(50), (plain, at, outAt) => {
        const from = new Uint8Array(at + plain.length + 3);
        from.set(plain, at);
        const out = new Uint8Array(outAt + plain.length + RECORD_OVERHEAD_BYTES + 3).fill(0xa5);
        const length = new RecordSealer(KEY, gcm).seal(RECORD_STREAM, from, at, plain.length, out, outAt);
        expect(recordLength(out, outAt, length)).toBe(length);
        expect(out.subarray(0, outAt).every((byte) => byte === 0xa5)).toBe(true);
        expect(out.subarray(outAt + length).every((byte) => byte === 0xa5)).toBe(true);
        const back = new Uint8Array(plain.length + 2).fill(0xa5);
        expect(new RecordOpener(KEY, gcm).open(out, outAt, length, back, 1)).toBe(true);
        expect(back).toEqual(Uint8Array.of(0xa5, ...plain, 0xa5));
      }),
    );
  });

  test("changes its key after so many records, and the opener with it", () => {
    const [sealer, opener] = [new RecordSealer(KEY, gcm, 3), new RecordOpener(KEY, gcm, 3)];
    const stale = new RecordOpener(KEY, gcm);
    for (let number = 0; number < 20; number++) {
      const record = sealed(sealer, Uint8Array.of(number));
      expect(opened(opener, record)).toEqual(Uint8Array.of(number));
      expect(opened(stale, record) !== null).toBe(number < 3);
    }
  });

  test("takes the longest record", () => {
    const plain = new Uint8Array(RECORD_MAX_PLAIN_BYTES).fill(9);
    const record = sealed(new RecordSealer(KEY, gcm), plain);
    expect(recordLength(record, 0, record.length)).toBe(RECORD_MAX_BYTES);
    expect(opened(new RecordOpener(KEY, gcm), record)).toEqual(plain);
  });
});

describe.each(GCMS)("RecordOpener %s", (_, gcm) => {
  test("opens every record once, in order, and nothing behind one that does not open", () => {
    fc.assert(
      fc.property(
        fc.array(plaintext, { minLength: 2, maxLength: 8 }),
        fc.infiniteStream(fc.nat(1000)),
        (plains, choice) => {
          const sealer = new RecordSealer(KEY, gcm);
          const records = plains.map((plain) => sealed(sealer, plain));
          const order = records.map(() => choice.next().value! % records.length);
          const opener = new RecordOpener(KEY, gcm);
          let isWell = true;
          for (const [number, index] of order.entries()) {
            isWell &&= index === number;
            expect(opened(opener, records[index]!)).toEqual(isWell ? plains[index]! : null);
            if (!isWell) break;
          }
        },
      ),
    );
  });

  test("refuses a record of which any bit has changed, and writes nothing of it", () => {
    const record = sealed(new RecordSealer(KEY, gcm), Uint8Array.of(1, 2, 3));
    for (let bit = 0; bit < record.length * 8; bit++) {
      const changed = record.with(bit >> 3, record[bit >> 3]! ^ (1 << (bit & 7)));
      const out = new Uint8Array(3);
      expect(new RecordOpener(KEY, gcm).open(changed, 0, changed.length, out, 0)).toBe(false);
      expect(out).toEqual(new Uint8Array(3));
    }
  });

  test("refuses the record of another key, and an end that was sealed as bytes", () => {
    const record = sealed(new RecordSealer(KEY.with(31, 0), gcm), Uint8Array.of(1));
    expect(opened(new RecordOpener(KEY, gcm), record)).toBe(null);
    const end = sealed(new RecordSealer(KEY, gcm), new Uint8Array(0), RECORD_END);
    expect(opened(new RecordOpener(KEY, gcm), end.with(0, RECORD_STREAM))).toBe(null);
  });
});

test.each([
  ["nothing", [], 0],
  ["half a header", [1, 0, 0], 0],
  ["a record of one byte", [1, 0, 0, 1], 21],
  ["the longest", [1, 1, 0, 0], RECORD_MAX_BYTES],
  ["an end", [2, 0, 0, 0], 20],
  ["one that is too long", [1, 1, 0, 1], -1],
  ["one without bytes", [1, 0, 0, 0], -1],
  ["an end with bytes", [2, 0, 0, 1], -1],
  ["of no kind", [0, 0, 0, 1], -1],
  ["text", [...Buffer.from("GET ")], -1],
])("recordLength of %s", (_, bytes, length) => {
  const around = Uint8Array.of(7, 7, ...bytes);
  expect(recordLength(around, 2, bytes.length)).toBe(length);
});
