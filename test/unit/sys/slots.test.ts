import { expect, test } from "bun:test";
import { Slots } from "../../../src/sys/slots.ts";

test("Slots gives a key the same number until it is released", () => {
  const slots = new Slots(3, "tasks");
  const numbers = ["a", "b", "a", "c"].map((key) => slots.take(key));
  expect(numbers).toEqual([0, 1, 0, 2]);
  expect(slots.get("b")).toBe(1);
  expect(slots.get("d")).toBeUndefined();
  expect([...slots.keys()]).toEqual(["a", "b", "c"]);
});

test("Slots reuses released numbers", () => {
  const slots = new Slots(2, "tasks");
  slots.take("a");
  slots.take("b");
  slots.release("a");
  slots.release("a");
  slots.release("unknown");
  expect(slots.get("a")).toBeUndefined();
  expect(slots.take("c")).toBe(0);
  expect(() => slots.take("d")).toThrow(new RangeError("cannot count more than 2 tasks"));
});

test("Slots goes on after its limit was hit", () => {
  const slots = new Slots(1, "services");
  slots.take("a");
  for (let i = 0; i < 3; i++) expect(() => slots.take("b")).toThrow(RangeError);
  slots.release("a");
  expect(slots.take("b")).toBe(0);
  expect(() => slots.take("c")).toThrow(RangeError);
});
