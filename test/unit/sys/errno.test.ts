import { expect, test } from "bun:test";
import {
  check,
  ECONNREFUSED,
  EINVAL,
  errno,
  errnoCode,
  errnoText,
  SysError,
} from "../../../src/sys/errno.ts";
import { libc } from "../../../src/sys/libc.ts";
import { recv, tcpSocket } from "../../../src/sys/socket.ts";

const EBADF = 9;
const EAFNOSUPPORT = 97;

test("errno is the failing call's, also between allocations and collections", () => {
  let garbage: unknown[] = [];
  for (let i = 0; i < 20_000; i++) {
    garbage.push({ i, text: `${i}` });
    if (i % 1000 === 0) {
      garbage = [];
      Bun.gc(false);
    }
    const isOdd = i % 2 === 1;
    const result = isOdd ? libc.close(-1) : libc.epoll_create1(-1);
    const error = errno();
    if (result !== -1 || error !== (isOdd ? EBADF : EINVAL)) {
      throw new Error(`call ${i}: result ${result}, errno ${error}`);
    }
  }
});

test("system calls give their errno as a negative result", () => {
  expect(tcpSocket(12_345)).toBe(-EAFNOSUPPORT);
  expect(recv(-1, 0 as never, 0, 0)).toBe(-EBADF);
});

test("errnoCode and errnoText have words for what users meet and a number for the rest", () => {
  expect([errnoCode(ECONNREFUSED), errnoText(ECONNREFUSED)]).toEqual(["ECONNREFUSED", "connection refused"]);
  expect([errnoCode(4242), errnoText(4242)]).toEqual(["E4242", "system error 4242"]);
});

test("check passes results through and throws errors with their code", () => {
  expect(check("read", 0)).toBe(0);
  expect(check("read", 5)).toBe(5);
  expect(() => check("connect", -ECONNREFUSED)).toThrow(SysError);
  expect(() => check("connect", -ECONNREFUSED)).toThrow(
    expect.objectContaining({
      call: "connect",
      code: "ECONNREFUSED",
      errnoValue: ECONNREFUSED,
      message: "connect: connection refused",
    }),
  );
});
