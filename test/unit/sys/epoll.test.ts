import { afterEach, expect, test } from "bun:test";
import { Arena } from "../../../src/sys/arena.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLIN,
  EVENT_DATA,
  EVENT_STRIDE,
  epollControl,
  epollCreate,
  epollLayout,
  epollWait,
} from "../../../src/sys/epoll.ts";
import { close } from "../../../src/sys/socket.ts";
import { openWakeup, ringWakeup } from "../../../src/sys/wakeup.ts";

const EBADF = 9;
const opened: number[] = [];
afterEach(() => opened.splice(0).forEach(close));

function open(fd: number): number {
  expect(fd).toBeGreaterThanOrEqual(0);
  opened.push(fd);
  return fd;
}

// sys/epoll.h: __EPOLL_PACKED is defined for x86-64 only
test.each([
  ["x64", 12, 4],
  ["arm64", 16, 8],
])("epollLayout on %s: %d bytes per event, data at byte %d", (arch, strideBytes, dataByte) => {
  expect(epollLayout(arch)).toEqual({ stride: strideBytes / 4, data: dataByte / 4 });
});

test("every event of a batch carries its descriptor and generation", () => {
  const epoll = open(epollCreate());
  const events = new Arena(64 * EVENT_STRIDE * 4);
  const expected = new Map<number, number>();
  for (let i = 0; i < 20; i++) {
    const fd = open(openWakeup());
    ringWakeup(fd);
    const generation = i % 2 === 0 ? i : -i;
    expected.set(fd, generation);
    expect(epollControl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, generation)).toBe(0);
  }
  expect(epollWait(epoll, events.address(0), 64, 0)).toBe(20);
  const seen = Array.from({ length: 20 }, (_, i) => {
    const at = i * EVENT_STRIDE;
    expect(events.int32[at]).toBe(EPOLLIN);
    return [events.int32[at + EVENT_DATA]!, events.int32[at + EVENT_DATA + 1]!] as const;
  });
  expect(new Map(seen)).toEqual(expected);
  expect(epollWait(epoll, events.address(0), 64, 0)).toBe(0);
});

test("epollControl returns the kernel's error", () => {
  const epoll = open(epollCreate());
  const fd = open(openWakeup());
  expect(epollControl(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, 0)).toBe(-2); // ENOENT
  expect(epollControl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, 0)).toBe(0);
  expect(epollControl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, 0)).toBe(-17); // EEXIST
  expect(epollControl(epoll, EPOLL_CTL_DEL, fd, 0, 0)).toBe(0);
  expect(epollControl(-1, EPOLL_CTL_ADD, fd, EPOLLIN, 0)).toBe(-EBADF);
});
