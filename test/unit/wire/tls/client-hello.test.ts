import { expect, test } from "bun:test";
import fc from "fast-check";
import { ClientHello, decodeClientHello, MAX_CLIENT_HELLO_BYTES } from "../../../../src/wire/index.ts";
import {
  BORINGSSL,
  CURL,
  CURL_ADDRESS,
  helloMessage,
  helloOf,
  inRecords,
  OPENSSL,
  OPENSSL_NO_NAME,
  OPENSSL_RECORDS,
  serverName,
} from "../../../support/tls/client-hellos.ts";

function decode(stream: Uint8Array, length = stream.length): ClientHello {
  return decodeClientHello(stream.slice(), 0, length, new ClientHello());
}

function show({ status, serverName }: ClientHello): string {
  return status === "complete" ? String(serverName) : status;
}

const ECH = 0xfe0d;
const GREASE = 0x5a5a;

test.each([
  ["openssl", OPENSSL, "a.example.org"],
  ["openssl in several records", OPENSSL_RECORDS, "a.example.org"],
  ["openssl without a name", OPENSSL_NO_NAME, "null"],
  ["curl", CURL, "a.example.org"],
  ["curl to an address", CURL_ADDRESS, "null"],
  ["BoringSSL with GREASE and a post-quantum key share", BORINGSSL, "x.b.example.org"],
])("decodeClientHello reads the captured hello of %s", (_, stream, name) => {
  expect(show(decode(stream))).toBe(name);
});

test.each([
  ["upper case and a trailing dot", helloOf("A.Example.ORG."), "a.example.org"],
  ["an address literal", helloOf("192.0.2.1"), "192.0.2.1"],
  ["a dot alone", helloOf("."), "null"],
  ["an empty name", helloOf(""), "null"],
  ["a name of 254 bytes", helloOf("x".repeat(254)), "null"],
  ["a NUL in the name", helloOf("a.example.org\0.evil.example"), "null"],
  ["a space in the name", helloOf("a example"), "null"],
  ["raw UTF-8", helloOf("b\u00fccher.example"), "null"],
])("decodeClientHello reads %s", (_, stream, name) => {
  expect(show(decode(stream))).toBe(name);
});

test("decodeClientHello takes the outer name beside Encrypted Client Hello and GREASE", () => {
  const message = helloMessage({
    ciphers: [GREASE, 0x1301],
    sessionBytes: 32,
    extensions: [
      [GREASE, new Uint8Array(0)],
      [ECH, new Uint8Array(300).fill(7)],
      serverName("public.example.org"),
      [GREASE + 0x1010, new Uint8Array(1)],
    ],
  });
  expect(show(decode(inRecords(message)))).toBe("public.example.org");
});

test("decodeClientHello passes over names of unknown types", () => {
  const list = Uint8Array.of(0, 12, 9, 0, 2, 1, 2, 0, 0, 4, 0x61, 0x2e, 0x62, 0x63);
  expect(show(decode(inRecords(helloMessage({ extensions: [[0, list]] }))))).toBe("a.bc");
});

test("decodeClientHello reads a hello without extensions", () => {
  const message = helloMessage({});
  const short = message.slice(0, -2);
  short[3]! -= 2;
  expect(show(decode(inRecords(short)))).toBe("null");
});

const twoNames = helloMessage({ extensions: [serverName("a.example"), serverName("b.example")] });

test.each([
  ["an HTTP request", new TextEncoder().encode("GET / HTTP/1.1\r\n")],
  ["an SSLv2 hello", Uint8Array.of(0x80, 0x2e, 1, 3, 1)],
  ["another handshake message", inRecords(Uint8Array.of(2, 0, 0, 1, 0))],
  ["an alert", Uint8Array.of(21, 3, 1, 0, 2, 1, 0)],
  ["an empty record", Uint8Array.of(22, 3, 1, 0, 0)],
  ["a record above 2^14", Uint8Array.of(22, 3, 1, 0x40, 1)],
  ["two server names", inRecords(twoNames)],
  ["a message above the limit", Uint8Array.of(22, 3, 1, 0x40, 0, 1, 0, 0x40, 1)],
  ["a name list cut off", inRecords(helloMessage({ extensions: [[0, Uint8Array.of(0, 9, 0, 0, 1)]] }))],
  ["a name cut off", inRecords(helloMessage({ extensions: [[0, Uint8Array.of(0, 4, 0, 0, 9, 1)]] }))],
  ["an alert between two records", Uint8Array.of(...inRecords(twoNames.slice(0, 20)), 21, 3, 1, 0, 2)],
  ["more records than a client sends", inRecords(helloMessage({}), new Array(40).fill(1))],
])("decodeClientHello refuses %s", (_, stream) => {
  expect(decode(stream).status).toBe("malformed");
});

test("decodeClientHello refuses a length that does not fit the message", () => {
  const extensionsShort = helloMessage({ extensions: [serverName("a.example")] });
  extensionsShort[extensionsShort.length - 20]! -= 1;
  const sessionLong = helloMessage({ extensions: [serverName("a.example")] });
  sessionLong[4 + 34] = 255;
  for (const message of [extensionsShort, sessionLong])
    expect(decode(inRecords(message)).status).toBe("malformed");
});

/** Streams of one name, cut into records and padded in every way. */
const hellos = fc
  .record({
    name: fc.stringMatching(/^[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}$/),
    padding: fc.nat(3000),
    sizes: fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 20 }),
    sessionBytes: fc.constantFrom(0, 32),
  })
  .map(({ name, padding, sizes, sessionBytes }) => {
    const extensions = [[21, new Uint8Array(padding)] as const, serverName(name)];
    return { name, stream: inRecords(helloMessage({ sessionBytes, extensions }), sizes) };
  });

test("decodeClientHello finds the name however the hello is cut, at any offset, whatever follows", () => {
  const property = fc.property(hellos, fc.uint8Array({ maxLength: 40 }), ({ name, stream }, after) => {
    const bytes = Uint8Array.of(1, 2, 3, ...stream, ...after, 4);
    const hello = decodeClientHello(bytes, 3, stream.length + after.length, new ClientHello());
    expect(show(hello)).toBe(name);
    expect([...bytes.subarray(0, 3), bytes.at(-1)!]).toEqual([1, 2, 3, 4]);
  });
  fc.assert(property, { numRuns: 200 });
});

test("decodeClientHello needs as many looks as records, each at exactly the bytes it asked for", () => {
  const property = fc.property(hellos, ({ name, stream }) => {
    let length = 0;
    let looks = 0;
    let hello = decode(stream, 0);
    for (; hello.status === "incomplete"; looks++) {
      expect(hello.neededBytes).toBeGreaterThan(length);
      length = hello.neededBytes;
      hello = decode(stream, length);
    }
    expect(show(hello)).toBe(name);
    expect(length).toBe(stream.length);
    expect(looks).toBeLessThanOrEqual(3 * 21);
  });
  fc.assert(property, { numRuns: 100 });
});

test("decodeClientHello never asks for more than the limit", () => {
  const most = helloMessage({ extensions: [[21, new Uint8Array(16_000)], serverName("a.example")] });
  const stream = inRecords(most, [400]);
  expect(stream.length).toBeLessThanOrEqual(MAX_CLIENT_HELLO_BYTES);
  expect(show(decode(stream))).toBe("a.example");
  const tooMuch = inRecords(helloMessage({ extensions: [[21, new Uint8Array(16_380)]] }));
  expect(decode(tooMuch, 12).status).toBe("malformed");
});
