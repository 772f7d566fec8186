import { expect, test } from "bun:test";
import { Owners } from "../../../src/catalog/owners.ts";

const DAY_MS = 24 * 3_600_000;

test("Owners: an owner with rows that died or came back is reported once", () => {
  const owners = new Owners("self");
  expect(owners.setLive(["a", "b", "self"], ["a", "self"], 0)).toEqual(["a"]);
  expect(owners.setLive(["b"], ["a", "self"], 0)).toEqual(["a"]);
  expect(owners.setLive(["b"], ["a", "self"], 0)).toEqual([]);
  expect([owners.isLive("self"), owners.isLive("a"), owners.isLive("b")]).toEqual([true, false, true]);
});

test("Owners: a dead one expires a day after its death, or after what another node knows of it", () => {
  const owners = new Owners("self");
  owners.noticeRows("a", 1000);
  owners.noticeRows("a", 5000);
  owners.noticeRows("b", 5000);
  owners.noticeDeadFor("b", DAY_MS / 2, 6000);
  owners.noticeDeadFor("b", 10, 6000); // knows less
  expect([owners.deadForMs("a", 6000), owners.deadForMs("b", 6000)]).toEqual([5000, DAY_MS / 2]);
  expect(owners.expired(6000 + DAY_MS / 2)).toEqual(["b"]);
  expect(owners.expired(1000 + DAY_MS)).toEqual(["a", "b"]);
  owners.noticeDeadFor("c", 1e15, 0);
  expect(owners.deadForMs("c", 0)).toBe(DAY_MS);
});

test("Owners: a live owner is not declared dead by another node's claim", () => {
  const owners = new Owners("self");
  owners.setLive(["a"], [], 0);
  owners.noticeDeadFor("a", DAY_MS, 0);
  owners.noticeDeadFor("self", DAY_MS, 0);
  expect([...owners.expired(DAY_MS)]).toEqual([]);
});

test("Owners: what was forgotten is remembered for a day, or until its node is back", () => {
  const owners = new Owners("self");
  owners.forget("a", 7, false, 1000);
  owners.forget("b", 9, false, 1000);
  expect(owners.forgottenCounter("a", 1000 + DAY_MS - 1)).toBe(7);
  expect(owners.forgottenCounter("a", 1000 + DAY_MS)).toBe(0);
  owners.setLive(["b"], [], 2000);
  owners.setLive([], [], 3000);
  expect(owners.forgottenCounter("b", 3000)).toBe(0);
});

test("Owners: one that had declarations is remembered for a month, also in the next life of the process", () => {
  const owners = new Owners("self");
  owners.forget("a", 7, true, 0);
  owners.forget("a", 8, false, DAY_MS); // what came late had none
  owners.forget("b", 9, false, 0);
  owners.noticeRows("c", 0);
  expect(owners.forgottenDeclarers(DAY_MS)).toEqual(["a"]);
  const restored = new Owners("self");
  restored.restore(owners.state(DAY_MS / 2), 1000);
  expect(restored.forgottenCounter("a", 20 * DAY_MS)).toBe(8);
  expect(restored.forgottenCounter("b", 1000 + DAY_MS / 2)).toBe(0);
  expect(restored.deadForMs("c", 1000)).toBe(DAY_MS / 2);
  restored.setLive(["a"], [], 2000);
  expect(restored.forgottenDeclarers(2000)).toEqual([]);
});

test("Owners: at the bound the first forgotten make room", () => {
  const owners = new Owners("self");
  for (let index = 0; index <= 4096; index++) owners.forget(`n${index}`, 1, false, 0);
  expect([owners.forgottenCounter("n0", 1), owners.forgottenCounter("n1", 1)]).toEqual([0, 1]);
});
