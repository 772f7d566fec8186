import { expect, test } from "bun:test";
import { MAX_EVENT_MESSAGE_LENGTH, MAX_EVENTS, nodeEvent } from "../../../../src/model/index.ts";
import { Events } from "../../../../src/node/events/events.ts";

function ring(startMs = 1_000): { events: Events; setNow: (ms: number) => void } {
  let nowMs = startMs;
  const events = new Events({ self: "n1", nowMs: () => nowMs });
  return { events, setNow: (ms) => (nowMs = ms) };
}

test("the last 1,000 stay, oldest first, with increasing ids", () => {
  const { events } = ring();
  for (let i = 0; i < MAX_EVENTS + 5; i++) events.record({ kind: "reload", message: `${i}` });
  const all = events.recent();
  expect(all.length).toBe(MAX_EVENTS);
  expect([all[0]?.message, all.at(-1)?.message]).toEqual(["5", `${MAX_EVENTS + 4}`]);
  expect(all.every(({ id }, index) => index === 0 || id === all[index - 1]!.id + 1)).toBe(true);
  expect(nodeEvent.parse(all[0])).toEqual(all[0]!);
});

test("service, kind, time, limit and last id select", () => {
  const { events, setNow } = ring();
  events.record({ kind: "reload", message: "a" });
  setNow(5_000);
  events.record({ kind: "conflict", message: "b", service: "web", port: "80/tcp" });
  events.record({ kind: "reload", message: "c", service: "web" });
  const found = (...filter: Parameters<Events["recent"]>) =>
    events
      .recent(...filter)
      .map(({ message }) => message)
      .join("");
  expect(found()).toBe("abc");
  expect(found({ service: "web" })).toBe("bc");
  expect(found({ kinds: ["reload", "stop"] })).toBe("ac");
  expect(found({ sinceMs: 5_000 })).toBe("bc");
  expect(found({ limit: 1 })).toBe("c");
  expect(found({ limit: 0 })).toBe("");
  expect(found({}, events.recent()[1]!.id)).toBe("c");
  expect(found({}, 1e12)).toBe("abc"); // of another run, whose clock was ahead
});

test("a later run continues with higher ids, and a takeover with the events of its predecessor", () => {
  const before = ring(1_000);
  before.events.record({ kind: "start", message: "one" });
  const later = ring(9_000);
  later.events.record({ kind: "start", message: "two" });
  expect(later.events.lastId).toBeGreaterThan(before.events.lastId);
  const successor = ring(500); // its clock is behind
  successor.events.record({ kind: "bind-error", message: "early" });
  successor.events.continueFrom(before.events.export());
  successor.events.record({ kind: "upgrade", message: "late" });
  const all = successor.events.recent();
  expect(all.map(({ message }) => message)).toEqual(["one", "early", "late"]);
  expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted((a, b) => a - b));
  expect(new Set(all.map(({ id }) => id)).size).toBe(3);
});

test("a message is one line of bounded length", () => {
  const { events } = ring();
  events.record({ kind: "reload-failed", message: `first\n  second ${"x".repeat(2_000)}` });
  const [event] = events.recent();
  expect(event?.message).toStartWith("first second x");
  expect(event?.message.length).toBe(MAX_EVENT_MESSAGE_LENGTH);
});

test("a subscriber hears every event until it is disposed of", () => {
  const { events } = ring();
  const heard: string[] = [];
  const subscription = events.subscribe(({ message }) => heard.push(message));
  events.record({ kind: "reload", message: "a" });
  subscription[Symbol.dispose]();
  events.record({ kind: "reload", message: "b" });
  expect(heard).toEqual(["a"]);
});
