import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeProxyHeader,
  type Endpoint,
  encodeProxyV1,
  encodeProxyV2,
  encodeProxyV2Local,
  formatIp,
  PROXY_V2_MAX_BYTES,
  PROXY_V2_MAX_ENCODED_BYTES,
  ProxyHeader,
  parseIp,
} from "../../../src/wire/index.ts";
import { ascii } from "../../../src/wire/scan.ts";
import { addressOf, endpoint } from "../../support/random/arbitrary-ip.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

function decode(bytes: Uint8Array): ProxyHeader {
  return decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
}

function decodeText(text: string): ProxyHeader {
  return decode(ascii(text));
}

function v2(
  command: number,
  familyByte: number,
  block: readonly number[],
  length = block.length,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...SIGNATURE, command, familyByte, length >> 8, length & 0xff, ...block);
}

function endpointOf(address: string, port: number): Endpoint {
  return { ...parseIp(address)!, offset: 0, port };
}

function show({ family, bytes, port }: Endpoint): string {
  return `${formatIp(family, bytes)} ${port}`;
}

const IPV4_BLOCK = [192, 0, 2, 1, 192, 0, 2, 9, 0xdc, 0x04, 0x01, 0xbb];

// --- version 1

test.each([
  ["192.0.2.1", "192.0.2.9", "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"],
  ["2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"],
  ["2001:db8::1", "192.0.2.9", "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.9 56324 443\r\n"],
  ["192.0.2.1", "::1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 443\r\n"],
])("encodeProxyV1 from %s to %s", (source, destination, expected) => {
  const out = new Uint8Array(120);
  const length = encodeProxyV1(endpointOf(source, 56324), endpointOf(destination, 443), out, 5);
  expect(String.fromCharCode(...out.subarray(5, 5 + length))).toBe(expected);
});

test("decodeProxyHeader reads a v1 line and leaves the client's bytes", () => {
  const header = decodeText("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\nGET / HTTP/1.1\r\n");
  expect(header).toMatchObject({ status: "complete", headerLength: 42, command: "proxy", transport: "tcp" });
  expect(header.hasEndpoints).toBe(true);
  expect(show(header.source)).toBe("192.0.2.1 56324");
  expect(show(header.destination)).toBe("192.0.2.9 443");
});

test.each([
  "PROXY UNKNOWN\r\n",
  "PROXY UNKNOWN \r\n",
  "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
  `PROXY UNKNOWN ${"x".repeat(91)}\r\n`,
])("decodeProxyHeader keeps the socket's addresses for %j", (text) => {
  const header = decodeText(text);
  expect(header).toMatchObject({ status: "complete", headerLength: text.length, transport: "unspec" });
  expect(header.hasEndpoints).toBe(false);
});

test.each([
  "PROXX",
  "G",
  "p",
  "PROXY  ",
  "PROXY\t",
  "PROXY TCP5",
  "PROXY X",
  "PROXY TCP4  ",
  "PROXY TCP4 01",
  "PROXY TCP4 256",
  "PROXY TCP4 1.2.3.4.",
  "PROXY TCP4 :",
  "PROXY TCP4 1.2.3.4  ",
  "PROXY TCP4 1.2.3.4 5.6.7.8 00",
  "PROXY TCP4 1.2.3.4 5.6.7.8 65536",
  "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ",
  "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
  "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
  "PROXY TCP6 1.",
  "PROXY TCP6 fe80::1%",
  "PROXY TCP6 ::1 ::2 -",
  "PROXY UNKNOWNX",
  "PROXY UNKNOWN x\n",
  "PROXY UNKNOWN x\ry",
  `PROXY UNKNOWN ${"x".repeat(92)}`,
  "\r\n\r\r",
])("decodeProxyHeader finds %j malformed at its last byte", (text) => {
  expect(decodeText(text.slice(0, -1)).status).toBe("incomplete");
  expect(decodeText(text).status).toBe("malformed");
});

// --- version 2

test("encodeProxyV2 writes the bytes of the specification", () => {
  const out = new Uint8Array(PROXY_V2_MAX_ENCODED_BYTES);
  const length = encodeProxyV2(endpointOf("192.0.2.1", 56324), endpointOf("192.0.2.9", 443), "tcp", out, 0);
  expect(out.subarray(0, length)).toEqual(v2(0x21, 0x11, IPV4_BLOCK));
  expect(encodeProxyV2Local(out, 0)).toBe(16);
  expect(out.subarray(0, 16)).toEqual(v2(0x20, 0, []));
});

test("decodeProxyHeader skips v2 TLVs", () => {
  const tlvs = [0xe0, 0, 2, 7, 7, 0x04, 0, 0];
  const header = decode(Uint8Array.of(...v2(0x21, 0x12, [...IPV4_BLOCK, ...tlvs]), 1, 2, 3));
  expect(header).toMatchObject({
    status: "complete",
    headerLength: 36,
    transport: "udp",
    hasEndpoints: true,
  });
  expect(show(header.source)).toBe("192.0.2.1 56324");
});

test.each([
  ["shorter than its addresses", v2(0x21, 0x11, IPV4_BLOCK.slice(1))],
  ["one byte that is no TLV", v2(0x21, 0x11, [...IPV4_BLOCK, 4])],
  ["a TLV longer than the header", v2(0x21, 0x11, [...IPV4_BLOCK, 4, 0, 1])],
  ["two bytes left after a TLV", v2(0x21, 0x11, [...IPV4_BLOCK, 4, 0, 0, 4, 0])],
  ["IPv6 with an IPv4 block", v2(0x21, 0x21, IPV4_BLOCK)],
  ["unix with too little", v2(0x21, 0x31, new Array(215).fill(0))],
  ["version 1", v2(0x11, 0x11, IPV4_BLOCK)],
  ["version 3", v2(0x31, 0x11, IPV4_BLOCK)],
  ["command 2", v2(0x22, 0x11, IPV4_BLOCK)],
  ["longer than the limit", v2(0x20, 0x00, [], PROXY_V2_MAX_BYTES - 16 + 1)],
])("decodeProxyHeader finds a v2 header with %s malformed", (_what, bytes) => {
  expect(decode(bytes).status).toBe("malformed");
});

test("decodeProxyHeader reads v2 headers up to the limit", () => {
  const longest = v2(0x20, 0x00, new Array(PROXY_V2_MAX_BYTES - 16).fill(0xff));
  expect(decode(longest)).toMatchObject({ status: "complete", headerLength: PROXY_V2_MAX_BYTES });
  expect(decode(longest.subarray(0, -1)).status).toBe("incomplete");
});

test("decodeProxyHeader with every v2 family byte", () => {
  const bySize = {
    12: [0x11, 0x12],
    36: [0x21, 0x22],
    216: [0x31, 0x32],
    0: [0x00, 0x01, 0x02, 0x10, 0x20, 0x30],
  };
  const addressBytes = new Map(
    Object.entries(bySize).flatMap(([size, familyBytes]) => familyBytes.map((byte) => [byte, Number(size)])),
  );
  for (let familyByte = 0; familyByte < 256; familyByte++) {
    const size = addressBytes.get(familyByte);
    const proxied = decode(v2(0x21, familyByte, new Array(size ?? 216).fill(1)));
    expect([familyByte, proxied.status]).toEqual([familyByte, size === undefined ? "malformed" : "complete"]);
    expect(proxied.hasEndpoints).toBe(size === 12 || size === 36);
    // One byte less than the addresses take, or one that frames no TLV.
    if (size) {
      expect(decode(v2(0x21, familyByte, new Array(size - 1).fill(1))).status).toBe("malformed");
      expect(decode(v2(0x21, familyByte, new Array(size + 1).fill(1))).status).toBe("malformed");
    }
    // LOCAL: "discard the protocol block including the family which is ignored".
    const local = decode(v2(0x20, familyByte, [1, 2, 3]));
    expect(local).toMatchObject({
      status: "complete",
      headerLength: 19,
      command: "local",
      hasEndpoints: false,
    });
  }
});

// --- both

interface Case {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly form: "v1" | "tcp" | "udp";
}

const proxied: fc.Arbitrary<Case> = fc.record({
  source: endpoint,
  destination: endpoint,
  form: fc.constantFrom("v1", "tcp", "udp"),
});

function encode({ source, destination, form }: Case, out: Uint8Array, offset: number): number {
  if (form === "v1") return encodeProxyV1(source, destination, out, offset);
  return encodeProxyV2(source, destination, form, out, offset);
}

test("decodeProxyHeader undoes the encoders", () => {
  const header = new ProxyHeader();
  fc.assert(
    fc.property(proxied, fc.nat(7), (example, offset) => {
      const out = new Uint8Array(130).fill(0xa5);
      const length = encode(example, out, offset);
      decodeProxyHeader(out, offset, out.length - offset, header);
      expect(header).toMatchObject({ status: "complete", headerLength: length, command: "proxy" });
      expect(header.transport).toBe(example.form === "udp" ? "udp" : "tcp");
      const family = example.source.family === 4 && example.destination.family === 4 ? 4 : 6;
      for (const side of ["source", "destination"] as const) {
        expect([header[side].family, header[side].port]).toEqual([family, example[side].port]);
        expect(addressOf(header[side], family)).toEqual(addressOf(example[side], family));
      }
      expect(out.subarray(offset + length).every((byte) => byte === 0xa5)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("decodeProxyHeader finds every strict prefix incomplete", () => {
  const header = new ProxyHeader();
  fc.assert(
    fc.property(proxied, (example) => {
      const out = new Uint8Array(130);
      const length = encode(example, out, 0);
      for (let cut = 0; cut < length; cut++) {
        expect(decodeProxyHeader(out, 0, cut, header).status).toBe("incomplete");
      }
    }),
  );
});
