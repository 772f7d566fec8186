/** The loop on eventfds: what is told, in which order, and what is no longer told after a close. */
import { afterEach, expect, test } from "bun:test";
import { Waiting } from "../../../src/sys/deadline-list.ts";
import { EPOLLIN, EPOLLOUT } from "../../../src/sys/epoll.ts";
import { type Continuable, EventLoop, type Pollable } from "../../../src/sys/event-loop.ts";
import { close } from "../../../src/sys/socket.ts";
import { clearWakeup, openWakeup, ringWakeup } from "../../../src/sys/wakeup.ts";

const opened = new Set<number>();
afterEach(() => {
  for (const fd of opened) close(fd);
  opened.clear();
});

/** An eventfd: readable once rung. */
function openBell(isRung: boolean): number {
  const fd = openWakeup();
  opened.add(fd);
  if (isRung) ringWakeup(fd);
  return fd;
}

function closeBell(loop: EventLoop, fd: number): void {
  opened.delete(fd);
  loop.close(fd);
}

function on(told: (fd: number, events: number) => void): Pollable {
  return { onEvents: told };
}

/** Runs so many turns that do not wait; `after` is called at the end of each but the last. */
function runTurns(loop: EventLoop, count: number, after: (turn: number) => void = () => {}): void {
  let turn = 0;
  const next: Continuable = {
    onContinue: () => {
      if (++turn === count) return loop.stop();
      after(turn);
      loop.continueLater(next);
    },
  };
  loop.continueLater(next);
  loop.run();
}

test("a handler is called once per edge", () => {
  const loop = new EventLoop();
  const fd = openBell(true);
  const told: number[] = [];
  loop.watch(
    fd,
    EPOLLIN,
    on((_, events) => told.push(events)),
  );
  runTurns(loop, 4, (turn) => {
    if (turn === 2) ringWakeup(fd);
  });
  expect(told).toEqual([EPOLLIN, EPOLLIN]);
});

test("rewatch reports a condition that holds already", () => {
  const loop = new EventLoop();
  const fd = openBell(false);
  const told: number[] = [];
  loop.watch(
    fd,
    EPOLLIN,
    on((_, events) => told.push(events)),
  );
  runTurns(loop, 3, (turn) => {
    if (turn === 1) loop.rewatch(fd, EPOLLIN | EPOLLOUT);
  });
  expect(told).toEqual([EPOLLOUT]);
});

test("an event for a descriptor closed in the same batch is dropped, also when its number is in use again", () => {
  const loop = new EventLoop();
  const pair = [openBell(true), openBell(true)] as const;
  const told: number[] = [];
  const toldAnew: number[] = [];
  let reused = -1;
  const handler = on((fd) => {
    told.push(fd);
    const other = fd === pair[0] ? pair[1] : pair[0];
    closeBell(loop, other);
    reused = openBell(false);
    expect(reused).toBe(other);
    loop.watch(
      reused,
      EPOLLIN,
      on((anew) => toldAnew.push(anew)),
    );
  });
  for (const fd of pair) loop.watch(fd, EPOLLIN, handler);
  runTurns(loop, 3, (turn) => {
    if (turn === 1) expect([told.length, toldAnew.length]).toEqual([1, 0]);
    if (turn === 1) ringWakeup(reused);
  });
  expect(told).toHaveLength(1);
  expect(toldAnew).toEqual([reused]);
});

test("an event for a descriptor closed in the same batch and not reused is dropped", () => {
  const loop = new EventLoop();
  const pair = [openBell(true), openBell(true)] as const;
  let told = 0;
  const handler = on((fd) => {
    told++;
    closeBell(loop, fd === pair[0] ? pair[1] : pair[0]);
  });
  for (const fd of pair) loop.watch(fd, EPOLLIN, handler);
  runTurns(loop, 2);
  expect(told).toBe(1);
});

test("handOver changes the handler without losing the watch", () => {
  const loop = new EventLoop();
  const fd = openBell(false);
  const told: string[] = [];
  loop.watch(
    fd,
    EPOLLIN,
    on(() => told.push("old")),
  );
  loop.handOver(
    fd,
    on(() => told.push("new")),
  );
  ringWakeup(fd);
  runTurns(loop, 2);
  expect(told).toEqual(["new"]);
});

test("what asks to go on runs in the next turn, after its events and before its end", () => {
  const loop = new EventLoop();
  const fd = openBell(true);
  const order: string[] = [];
  const ender = { onTurnEnd: () => order.push("end") };
  const goer = { onContinue: () => order.push("go on") };
  loop.watch(
    fd,
    EPOLLIN,
    on(() => {
      order.push("event");
      loop.atTurnEnd(ender);
      if (order.length === 1) loop.continueLater(goer);
    }),
  );
  runTurns(loop, 3, (turn) => {
    if (turn === 1) ringWakeup(fd);
  });
  expect(order).toEqual(["event", "end", "event", "go on", "end"]);
});

test("handlers lists what is watched", () => {
  const loop = new EventLoop();
  const [first, second] = [on(() => {}), on(() => {})];
  const pair = [openBell(false), openBell(false)] as const;
  loop.watch(pair[0], EPOLLIN, first);
  loop.watch(pair[1], EPOLLIN, second);
  closeBell(loop, pair[0]);
  expect([...loop.handlers()]).toEqual([second]);
  runTurns(loop, 1);
});

test("watching a descriptor that is not open fails with the kernel's error", () => {
  const loop = new EventLoop();
  const fd = openBell(false);
  closeBell(loop, fd);
  expect(
    loop.watch(
      fd,
      EPOLLIN,
      on(() => {}),
    ),
  ).toBeLessThan(0);
  runTurns(loop, 1);
});

test("a deadline ends the wait", () => {
  const loop = new EventLoop();
  class Stop extends Waiting {
    onDeadline(): void {
      loop.stop();
    }
  }
  loop.deadlines.list(2).arm(new Stop(), loop.nowMs);
  const startMs = loop.nowMs;
  loop.run();
  expect(loop.nowMs - startMs).toBeGreaterThanOrEqual(2);
});

test("a worker's wake-up rings again after it was cleared", () => {
  const loop = new EventLoop();
  const fd = openBell(true);
  let rings = 0;
  loop.watch(
    fd,
    EPOLLIN,
    on(() => {
      rings++;
      clearWakeup(fd);
    }),
  );
  runTurns(loop, 4, (turn) => {
    if (turn < 3) ringWakeup(fd);
  });
  expect(rings).toBe(3);
});

test("what belongs to every turn's end is called there, after all else", () => {
  const loop = new EventLoop();
  const told: string[] = [];
  loop.atEveryTurnEnd({ onTurnEnd: () => told.push("every") });
  loop.watch(
    openBell(true),
    EPOLLIN,
    on(() => loop.atTurnEnd({ onTurnEnd: () => told.push("once") })),
  );
  runTurns(loop, 3);
  expect(told).toEqual(["once", "every", "every", "every"]);
});
