import { expect, test } from "bun:test";
import fc from "fast-check";
import { findHeadEnd, parseHead } from "../../../../src/admin/tcp/request-head.ts";

function head(...lines: string[]) {
  const bytes = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
  return parseHead(bytes);
}

test("a request has method, target, headers and the length of its body", () => {
  const parsed = head(
    "POST /v1/x?a=1 HTTP/1.1",
    "Host: [::1]:7980",
    "X-A:  b ",
    "x-a: c",
    "Content-Length: 12",
  );
  expect(parsed).toEqual({
    method: "POST",
    target: "/v1/x?a=1",
    isHttp10: false,
    headers: new Map([
      ["host", "[::1]:7980"],
      ["x-a", "b, c"],
      ["content-length", "12"],
    ]),
    bodyBytes: 12,
  });
  expect(head("GET / HTTP/1.0")).toMatchObject({ isHttp10: true, bodyBytes: 0 });
});

test.each([
  ["no version", ["GET /"], 400],
  ["HTTP/2", ["GET / HTTP/2.0", "Host: a"], 400],
  ["an absolute target", ["GET http://a/ HTTP/1.1", "Host: a"], 400],
  ["a space in the target", ["GET /a b HTTP/1.1", "Host: a"], 400],
  ["no host", ["GET / HTTP/1.1"], 400],
  ["two hosts", ["GET / HTTP/1.1", "Host: a", "Host: b"], 400],
  ["two lengths", ["POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 2"], 400],
  ["a negative length", ["POST / HTTP/1.1", "Host: a", "Content-Length: -1"], 400],
  ["a length with a plus", ["POST / HTTP/1.1", "Host: a", "Content-Length: +1"], 400],
  ["a chunked body", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"], 411],
  ["a space before the colon", ["GET / HTTP/1.1", "Host : a"], 400],
  ["a folded header", ["GET / HTTP/1.1", "Host: a", " b"], 400],
  ["a bare line feed", ["GET / HTTP/1.1", "Host: a\nX: b"], 400],
  ["a NUL", ["GET / HTTP/1.1", "Host: a\0"], 400],
  ["an unknown method", ["BREW / HTTP/1.1", "Host: a"], 501],
  [
    "too many headers",
    ["GET / HTTP/1.1", "Host: a", ...Array.from({ length: 101 }, (_, i) => `x-${i}: 1`)],
    431,
  ],
])("%s is refused", (_, lines, status) => {
  expect(head(...lines)).toMatchObject({ status, error: expect.any(String) });
});

test("the end of a head is behind its empty line", () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody");
  expect(findHeadEnd(bytes)).toBe(bytes.length - 4);
  expect(findHeadEnd(bytes.subarray(0, bytes.length - 5))).toBe(-1);
});

test("whatever the bytes are, they are read or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 300 }), (bytes) => {
      const parsed = parseHead(bytes);
      expect("error" in parsed || parsed.method.length > 0).toBe(true);
    }),
  );
});
