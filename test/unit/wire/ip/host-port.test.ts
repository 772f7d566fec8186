import { expect, test } from "bun:test";
import { formatHostPort } from "../../../../src/wire/index.ts";

test("formatHostPort puts IPv6 in brackets", () => {
  expect(formatHostPort("::1", 80)).toBe("[::1]:80");
  expect(formatHostPort("127.0.0.1", 80)).toBe("127.0.0.1:80");
  expect(formatHostPort("web.internal", 80)).toBe("web.internal:80");
});
