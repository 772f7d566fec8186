import { expect, test } from "bun:test";
import { encodeName, takeListenFds } from "../../../src/sys/listen-fds.ts";

test("names hold no colon, and only ASCII of at most 255 bytes", () => {
  expect(encodeName("tcp:[fe80::1%eth0]:80:1")).toBe("tcp%3A[fe80%3A%3A1%25eth0]%3A80%3A1");
  expect(encodeName("x".repeat(255))).toBe("x".repeat(255));
  for (const key of ["", "x".repeat(256), `${"x".repeat(253)}:`, "straße", "a\nb"])
    expect(encodeName(key)).toBeNull();
});

test("descriptors of another process, or none, are not taken; the variables are gone in any case", () => {
  for (const variables of [
    { LISTEN_PID: "1", LISTEN_FDS: "2", LISTEN_FDNAMES: "a:b" },
    { LISTEN_PID: "4711", LISTEN_FDS: "many" },
    { LISTEN_FDS: "1" },
    {},
  ]) {
    const env: Record<string, string | undefined> = { ...variables, HOME: "/" };
    expect(takeListenFds(env, 4711)).toEqual([]);
    expect(env).toEqual({ HOME: "/" });
  }
});
