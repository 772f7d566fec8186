/** ClientHellos as real clients sent them, and others made up of parts. */

/** openssl s_client 3.0 -servername a.example.org */
export const OPENSSL = Uint8Array.fromBase64(
  "FgMBAToBAAE2AwOBXOeRkNXOuuavcZC49WiNAQzJOWgH9r6wu5bgv9UL/SCbvUmIHpON3L9HcN1IR66/YxhFJhZTVafOQfe9tLmI" +
    "ngA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAACvAAAAEgAQ" +
    "AAANYS5leGFtcGxlLm9yZwALAAQDAAECAAoAFgAUAB0AFwAeABkAGAEAAQEBAgEDAQQAIwAAABYAAAAXAAAADQAqACgEAwUDBgMI" +
    "BwgICAkICggLCAQIBQgGBAEFAQYBAwMDAQMCBAIFAgYCACsACQgDBAMDAwIDAQAtAAIBAQAzACYAJAAdACDFlnV5mz/S7EehAKsK" +
    "CCFhQWUC/AXVi4R31nen+fQsHw==",
);

/** The same with -split_send_frag 512 and 60 ALPN protocols: several records */
export const OPENSSL_RECORDS = Uint8Array.fromBase64(
  "FgMBAgABAAQCAwPMh8GkuTfLMOj81Gj2qZhyJvK9Ws65angdKNy9FA4zgiDUeRw2XPX6/o8EOdQPHqguR643cgByOOwbRIHfXXB5" +
    "fgA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAAN7AAAAEgAQ" +
    "AAANYS5leGFtcGxlLm9yZwALAAQDAAECAAoAFgAUAB0AFwAeABkAGAEAAQEBAgEDAQQAIwAAABACyALGCnByb3RvY29sLTAKcHJv" +
    "dG9jb2wtMQpwcm90b2NvbC0yCnByb3RvY29sLTMKcHJvdG9jb2wtNApwcm90b2NvbC01CnByb3RvY29sLTYKcHJvdG9jb2wtNwpw" +
    "cm90b2NvbC04CnByb3RvY29sLTkLcHJvdG9jb2wtMTALcHJvdG9jb2wtMTELcHJvdG9jb2wtMTILcHJvdG9jb2wtMTMLcHJvdG9j" +
    "b2wtMTQLcHJvdG9jb2wtMTULcHJvdG9jb2wtMTYLcHJvdG9jb2wtMTcLcHJvdG9jb2wtMTgLcHJvdG9jb2wtMTkLcHJvdG9jb2wt" +
    "MjALcHJvdG9jb2wtMjELcHJvdG9jb2wtMjILcHJvdG9jb2wtMjMLcHJvdG9jb2wtMjQLcHJvdG9jb2wtMjULcHJvdBYDAQIAb2Nv" +
    "bC0yNgtwcm90b2NvbC0yNwtwcm90b2NvbC0yOAtwcm90b2NvbC0yOQtwcm90b2NvbC0zMAtwcm90b2NvbC0zMQtwcm90b2NvbC0z" +
    "Mgtwcm90b2NvbC0zMwtwcm90b2NvbC0zNAtwcm90b2NvbC0zNQtwcm90b2NvbC0zNgtwcm90b2NvbC0zNwtwcm90b2NvbC0zOAtw" +
    "cm90b2NvbC0zOQtwcm90b2NvbC00MAtwcm90b2NvbC00MQtwcm90b2NvbC00Mgtwcm90b2NvbC00Mwtwcm90b2NvbC00NAtwcm90" +
    "b2NvbC00NQtwcm90b2NvbC00Ngtwcm90b2NvbC00Nwtwcm90b2NvbC00OAtwcm90b2NvbC00OQtwcm90b2NvbC01MAtwcm90b2Nv" +
    "bC01MQtwcm90b2NvbC01Mgtwcm90b2NvbC01Mwtwcm90b2NvbC01NAtwcm90b2NvbC01NQtwcm90b2NvbC01Ngtwcm90b2NvbC01" +
    "Nwtwcm90b2NvbC01OAtwcm90b2NvbC01OQAWAAAAFwAAAA0AKgAoBAMFAwYDCAcICAgJCAoICwgECAUIBgQBBQEGAQMDAwEDAgQC" +
    "BQIGAgArAAkIAwQDAwMCAwEALQACAQEAMwAmACQAHQAgkYVe9+SQDrH+d2pKEKy7lGklr1cj+alt5tcWAwEABjJxdHXEVw==",
);

/** openssl s_client -tls1_2 -noservername */
export const OPENSSL_NO_NAME = Uint8Array.fromBase64(
  "FgMBALcBAACzAwP5d9DI9K8lRIFgW0ynQ7byPTrbnLRTU/yBwdlQA7vyZwAAOMAswDAAn8ypzKjMqsArwC8AnsAkwCgAa8AjwCcA" +
    "Z8AKwBQAOcAJwBMAMwCdAJwAPQA8ADUALwD/AQAAUgALAAQDAAECAAoADAAKAB0AFwAeABkAGAAjAAAAFgAAABcAAAANACoAKAQD" +
    "BQMGAwgHCAgICQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgI=",
);

/** curl 7.88 of https://A.Example.ORG./ (curl takes the dot away itself) */
export const CURL = Uint8Array.fromBase64(
  "FgMBAgABAAH8AwPnBM74ahdr2U5EbXiIPqDRpF07u5NL4Z53U7lBDAikbyCzEg5aakgV5jM/sQh918w1lIV3HsTkQ0WYt/H/bDWg" +
    "jQA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAAF1AAAAEgAQ" +
    "AAANYS5leGFtcGxlLm9yZwALAAQDAAECAAoAFgAUAB0AFwAeABkAGAEAAQEBAgEDAQQAEAAOAAwCaDIIaHR0cC8xLjEAFgAAABcA" +
    "AAAxAAAADQAqACgEAwUDBgMIBwgICAkICggLCAQIBQgGBAEFAQYBAwMDAQMCBAIFAgYCACsACQgDBAMDAwIDAQAtAAIBAQAzACYA" +
    "JAAdACCdYDDqQXvoyJEwpO0jqIYWI3szV/aXGLB+TnVeYPNWJAAVALAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
);

/** curl of https://127.0.0.1/ */
export const CURL_ADDRESS = Uint8Array.fromBase64(
  "FgMBAgABAAH8AwMjTxdiojP0dYpEx29sRGoJ7jOre1Hxp8H98SriYFuvBiCrjvivMI9BO4KVFc04Q3IA0rUEhKelQ2QlO5BbfFv6" +
    "vwA+EwITAxMBwCzAMACfzKnMqMyqwCvALwCewCTAKABrwCPAJwBnwArAFAA5wAnAEwAzAJ0AnAA9ADwANQAvAP8BAAF1AAsABAMA" +
    "AQIACgAWABQAHQAXAB4AGQAYAQABAQECAQMBBAAQAA4ADAJoMghodHRwLzEuMQAWAAAAFwAAADEAAAANACoAKAQDBQMGAwgHCAgI" +
    "CQgKCAsIBAgFCAYEAQUBBgEDAwMBAwIEAgUCBgIAKwAJCAMEAwMDAgMBAC0AAgEBADMAJgAkAB0AIOEy9VQzpvLt5vA5VNjfxAEa" +
    "98n0sF/GA56iZX6qq8V9ABUAxgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
);

/** BoringSSL: GREASE, a post-quantum key share of 1.2 KB */
export const BORINGSSL = Uint8Array.fromBase64(
  "FgMBBd0BAAXZAwMBrStFFhgcSk7q1BEnra+Yv0dhzKsHIm7aasnOIpphWyDe96wVk11O+OJJSFdjxOM2TbJzzwccp+4WAHunf9fo" +
    "+QAiEwETAhMDwCvAL8AswDDMqcyowAnAE8AKwBQAnACdAC8ANQEABW4AAAAUABIAAA94LmIuZXhhbXBsZS5vcmcAFwAA/wEAAQAA" +
    "CgAKAAgR7AAdABcAGAALAAIBAAAjAAAAEAALAAkIaHR0cC8xLjEABQAFAQAAAAAADQAYABYEAwgEBAEFAwgFBQEIBgYBCAcGAwIB" +
    "ABIAAAAzBOoE6BHsBMCG8Z4lwm2yUl8JCIZwF1dooX0bgpQixos245tWgz+cyhk58mvfg6p0gGjQ0Af9uH3q6DL00ARPg6IQy5CH" +
    "Q67nNhORdS0d6RFI4U9exFT/3B9c1yB2WHN4Y8eWnBZ2pKlSdzzq1KDyg8RBJqkWtjnkozkvK1Dc+LrcUir3a4t+GVQnAkqPi0BS" +
    "GpaAiKvQsFKsUXFNpc0fyGlwYpm2BgO6wjCgE78LGHOlty91wplVZB0Jd6Ys0a7EeF7rYDqfVsbEyJC1cEIatmpFCJgTEX8P7A30" +
    "0TTa2pPpTHfNUzL7dorfKcDRg3pSGbgaMlgtTJk4vKdpKAhSRT8ZxsScvKcW8jxaw3zCAs4BOJ4DeDcjUIzaOCg3MR0jYIqKorSi" +
    "xUG7h0rr61us03QRKqGI+wyM5rTnyagdrD6OpiRDqUqHFbitm4Ibs6aPJArrxB04IRaPFlU8dqA1m4ZgUTA5kAHXmglrOBTxIzx0" +
    "9bJbhJYAcswVlRN4QXtFFDZ9sgPCuxQwuSOJNroT0sPasD5VR0MAyWEmq22bobBnGrXEGHE2Jn2xqq2yQUorZsuel62pRA+MbJGG" +
    "dH3bOrRAJbVQF0Bs86M8Jln3oop7WApySF1amqJFYCaWkFis2HjaUDh6W1sAzJMEm2Yj1GLKpUkkex/VRYZwo4ldeICV1Gl2CT15" +
    "ZppoN1ltqakR9sKQ9HATMcmmrIW3dIhGhX1jAidTUQ2IbE8sGITwq41nZYXh5RtAmjnQmGkLJTzZKkLI01SaSy8/OHuVh1aFu1bE" +
    "HHR+cXHY9XVDYVdSZJLzrJKidsobFcEg1TsDhsg4l450+qccjMZtIEMfwlqa43gsUFpj/KBv2XrzEElXplxBBWxFuLLH6rAI0i1k" +
    "Eyki1j/MJXmsc8uTQZbSLFF3ST62k6MiJ5TYhDVQUivlSXHl1nsefBcoGA+yG6QHVA1sDIUVY1E4IowzBRHIMawlx336qyk/zA4O" +
    "QZZ6CMaj8joIVqgGqMpoKERy5MiXJ1Y9Amtb82tq4lCKGWKNUw3kAlK8xn11+hr6Fqb18I2TSMtrLE7Zh0BM8ncE1VSo9h1c4D7o" +
    "yBit5EerPLOUXIcshY+/wiW9WHhF0gBNVIHWzJqn9jEpsI4a+kvy0APYnFgT5lDPUVw/5n4Du44CQBs4iKt8Z77mMsrLFWCerGlN" +
    "MSor9Jb5a3LNGySmOxUgd0VXcLBoBlIzk0yVihBE/AHth69AXD+OmWELCLCBGj+winBzWaYrhaW9qIS3VcRmuns6UnZ9G1MqDCs6" +
    "VhNp5zd+w3KLcFprIzxq6DtDzDtn5lOrBkudskGX+kcM5xuMlo0wYzx3qmZ7BYkxUgrCewe5qzoPjCowG8hJdm804HbYCTYPdMtS" +
    "KFiC4TnJKDLcxsKB11uc8Kns88Xj5UV1yjAaxLTrcBu/hxIbBrRnxUM60Adsuy1uQCn5UYB0TLabELtP5QubuQ0aPLLF603O/Hj/" +
    "IjEOCS2pZ71uZWD757R+8bUGICDKaWtqTFROpExz17R0abYNCjVLkaaIrVpDzrN4wBKGn41P16xyiIZpuQqru5h1WhSwZIJtjbi2" +
    "o6Cet/mViSARBgD6s2q1tNgqop50or1qUwrVZtw4AB0AIGic+lxznESKqnwpP7XQ78G65OhYSWCm2JN3U7c2waZuAC0AAgEBACsA" +
    "BQQDBAMD",
);

export interface HelloParts {
  readonly sessionBytes?: number;
  readonly ciphers?: readonly number[];
  /** Type and data of each. */
  readonly extensions?: readonly (readonly [type: number, data: Uint8Array])[];
}

/** A ClientHello message: handshake header and body. */
export function helloMessage({
  sessionBytes = 0,
  ciphers = [0x1301],
  extensions = [],
}: HelloParts): Uint8Array {
  const list = extensions.flatMap(([type, data]) => [...uint16(type), ...withLength(2, data)]);
  const body = [
    ...[3, 3],
    ...new Uint8Array(32).fill(0xaa),
    ...withLength(1, new Uint8Array(sessionBytes)),
    ...withLength(2, ciphers.flatMap(uint16)),
    ...withLength(1, [0]),
    ...withLength(2, list),
  ];
  return Uint8Array.of(1, ...withLength(3, body));
}

/** The server_name extension. */
export function serverName(name: string | Uint8Array): readonly [type: number, data: Uint8Array] {
  const bytes = typeof name === "string" ? new TextEncoder().encode(name) : name;
  return [0, Uint8Array.from(withLength(2, [0, ...withLength(2, bytes)]))];
}

export function helloOf(name: string): Uint8Array {
  return inRecords(helloMessage({ extensions: [serverName(name)] }));
}

/** The message in handshake records of these sizes; the last takes the rest. */
export function inRecords(message: Uint8Array, sizes: readonly number[] = []): Uint8Array {
  const records: number[] = [];
  let at = 0;
  for (const size of [...sizes, message.length]) {
    if (at >= message.length) break;
    const fragment = message.subarray(at, at + Math.max(1, size));
    records.push(22, 3, 1, ...withLength(2, fragment));
    at += fragment.length;
  }
  return Uint8Array.from(records);
}

function withLength(lengthBytes: 1 | 2 | 3, data: ArrayLike<number>): number[] {
  const length = [data.length >> 16, (data.length >> 8) & 0xff, data.length & 0xff].slice(3 - lengthBytes);
  return [...length, ...Array.from(data)];
}

function uint16(value: number): number[] {
  return [value >> 8, value & 0xff];
}
