/**
 * The decoders of rtnetlink on arbitrary and mutated bytes. FUZZ_RUNS sets how many (default 100000), FUZZ_SEED
 * repeats a run. Checked every time: no exception, nothing outside the bytes is read, and what is read is written to
 * bytes that read the same.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  decodeAddressMessage,
  decodeLinkMessage,
  decodeNeighbourMessage,
  decodeNetlinkMessages,
  decodeNetlinkOutcome,
  decodeRouteMessage,
  decodeTrafficMessage,
  encodeAddressMessage,
  encodeLinkMessage,
  encodeNeighbourMessage,
  encodeNetlinkMessage,
  encodeRouteMessage,
  encodeTrafficMessage,
} from "../../src/wire/netlink/index.ts";
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
} from "../support/overlay/netlink-vectors.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const MARGIN_BYTES = 8;

const seeded = new Seeded(SEED);
const mutator = new ByteMutator(seeded);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

interface Codec {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (value: never) => Uint8Array;
  readonly samples: readonly Uint8Array[];
}

/** Several messages, and of each what it means as an answer. */
const MESSAGES: Codec = {
  decode: (bytes) =>
    decodeNetlinkMessages(bytes)?.map((message) => {
      const outcome = decodeNetlinkOutcome(message);
      return { ...message, payload: message.payload.toHex(), outcome };
    }) ?? null,
  encode: (
    messages: readonly { type: number; flags: number; sequence: number; portId: number; payload: string }[],
  ) =>
    Buffer.concat(
      messages.map((message) =>
        encodeNetlinkMessage({ ...message, payload: Uint8Array.fromHex(message.payload) }),
      ),
    ),
  samples: [VNI_EXISTS, Buffer.concat([VNI_EXISTS, VNI_EXISTS])],
};

const CODECS: Readonly<Record<string, Codec>> = {
  messages: MESSAGES,
  link: { decode: decodeLinkMessage, encode: encodeLinkMessage, samples: [NEW_VXLAN, SET_LINK] },
  address: { decode: decodeAddressMessage, encode: encodeAddressMessage, samples: [NEW_ADDRESS] },
  neighbour: {
    decode: decodeNeighbourMessage,
    encode: encodeNeighbourMessage,
    samples: [NEW_NEIGHBOUR, NEW_FORWARDING],
  },
  route: { decode: decodeRouteMessage, encode: encodeRouteMessage, samples: [NEW_ROUTE] },
  traffic: {
    decode: decodeTrafficMessage,
    encode: encodeTrafficMessage,
    samples: [NEW_INGRESS, NEW_FILTER],
  },
};

/** The same bytes between others that belong to nobody. */
function surrounded(bytes: Uint8Array, filler: number): Uint8Array {
  const larger = new Uint8Array(bytes.length + 2 * MARGIN_BYTES).fill(filler);
  larger.set(bytes, MARGIN_BYTES);
  return larger.subarray(MARGIN_BYTES, MARGIN_BYTES + bytes.length);
}

test.each(Object.entries(CODECS))("%s on arbitrary and mutated bytes", (_, { decode, encode, samples }) => {
  let wellFormed = 0;
  for (let run = 0; run < RUNS / 5; run++) {
    const bytes =
      seeded.below(10) === 0
        ? Uint8Array.from({ length: seeded.below(80) }, () => seeded.below(256))
        : mutator.mutate(seeded.pick(samples), seeded.pick(samples));
    const decoded = decode(surrounded(bytes, 0x00));
    expect(decode(surrounded(bytes, 0xff))).toEqual(decoded);
    if (decoded === null) continue;
    wellFormed++;
    expect(decode(encode(decoded as never))).toEqual(decoded);
  }
  expect(wellFormed).toBeGreaterThan(RUNS / 50);
  expect(wellFormed).toBeLessThan(RUNS / 5);
});
