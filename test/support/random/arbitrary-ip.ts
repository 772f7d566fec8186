/** Generated addresses and endpoints; IPv6 ones have runs of zeros and mapped IPv4 more often than chance would. */
import fc from "fast-check";
import type { Endpoint, IpFamily } from "../../../src/wire/index.ts";

const byte = fc.integer({ min: 0, max: 255 });
const groupBytes = fc.oneof(fc.constant([0, 0]), fc.tuple(fc.constant(0), byte), fc.tuple(byte, byte));

export const ipv4Bytes: fc.Arbitrary<Uint8Array> = fc
  .array(byte, { minLength: 4, maxLength: 4 })
  .map((bytes) => Uint8Array.from(bytes));

export const mappedBytes: fc.Arbitrary<Uint8Array> = ipv4Bytes.map((ipv4) =>
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...ipv4),
);

export const pureIpv6Bytes: fc.Arbitrary<Uint8Array> = fc
  .array(groupBytes, { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flat()))
  .filter((bytes) => bytes.subarray(0, 10).some((b) => b !== 0) || bytes[10] !== 0xff || bytes[11] !== 0xff);

export const ipv6Bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: pureIpv6Bytes },
  { weight: 1, arbitrary: mappedBytes },
);

export const ip: fc.Arbitrary<{ family: IpFamily; bytes: Uint8Array }> = fc.oneof(
  ipv4Bytes.map((bytes) => ({ family: 4 as const, bytes })),
  ipv6Bytes.map((bytes) => ({ family: 6 as const, bytes })),
);

/** The address lies at a random offset between bytes that belong to nobody. */
export const endpoint: fc.Arbitrary<Endpoint> = fc
  .record({ ip, offset: fc.nat(5), port: fc.integer({ min: 0, max: 65535 }) })
  .map(({ ip, offset, port }) => {
    const bytes = new Uint8Array(offset + ip.bytes.length + 3).fill(0xa5);
    bytes.set(ip.bytes, offset);
    return { family: ip.family, bytes, offset, port };
  });

/** The address bytes as an array, IPv4 mapped when `asFamily` is 6: what a decoder should give back. */
export function addressOf({ family, bytes, offset }: Endpoint, asFamily: IpFamily): number[] {
  const address = [...bytes.subarray(offset, offset + (family === 4 ? 4 : 16))];
  return family === 4 && asFamily === 6 ? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address] : address;
}
