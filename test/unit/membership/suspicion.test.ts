import { expect, test } from "bun:test";
import { PROFILES } from "../../../src/membership/index.ts";
import { Suspicion } from "../../../src/membership/suspicion.ts";

const START_MS = 50_000;

test("each new accuser brings the deadline nearer, from the longest to the least", () => {
  const suspicion = new Suspicion(PROFILES.lan, 100, "first", START_MS);
  expect(suspicion.deadlineMs).toBe(START_MS + 48_000);
  expect(suspicion.confirm("second")).toBe(true);
  expect(suspicion.deadlineMs).toBe(START_MS + 22_762);
  expect(suspicion.confirm("third")).toBe(true);
  expect(suspicion.deadlineMs).toBe(START_MS + 8_000);
});

test("nobody counts twice, and nobody beyond those expected is news", () => {
  const suspicion = new Suspicion(PROFILES.lan, 100, "first", START_MS);
  expect(suspicion.confirm("first")).toBe(false);
  expect(suspicion.confirm("second")).toBe(true);
  expect(suspicion.confirm("second")).toBe(false);
  expect(suspicion.confirm("third")).toBe(true);
  expect(suspicion.confirm("fourth")).toBe(false);
  expect(suspicion.deadlineMs).toBe(START_MS + 8_000);
});

test("among three members nobody is waited for", () => {
  const suspicion = new Suspicion(PROFILES.lan, 3, "first", START_MS);
  expect(suspicion.deadlineMs).toBe(START_MS + 4_000);
  expect(suspicion.confirm("second")).toBe(false);
});
