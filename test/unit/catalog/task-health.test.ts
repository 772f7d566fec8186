import { expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import { Catalog, type TaskHealth } from "../../../src/catalog/index.ts";
import { decodeRecord, encodeRecord, taskKey } from "../../../src/catalog/record-codec.ts";
import { declared, nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";

const HEALTH: TaskHealth = { state: "unhealthy", reason: "status 503", since: 1_700_000_000_000 };
const KEY = taskKey("web", "a");

function decoded(fields: object) {
  const result = decodeRecord("task", KEY, encode(fields));
  if (!("record" in result) || result.record === null) throw new Error(JSON.stringify(result));
  return result.record;
}

test("a record without health, as older versions write it, is read as one that is not checked", () => {
  const before = task("web", "a");
  expect(Object.keys(decode(encodeRecord("task", before)) as object)).toEqual([
    ...["host", "port", "weight", "isDraining", "origin"],
  ]);
  expect(decoded(decode(encodeRecord("task", before)) as object)).toEqual(before);
});

test("health and backup are there and back", () => {
  const now = task("web", "a", { isBackup: true, health: HEALTH });
  expect(decoded(decode(encodeRecord("task", now)) as object)).toEqual(now);
});

test.each<[string, object]>([
  ["a state of a newer version", { ...HEALTH, state: "resting" }],
  ["a reason that is too long", { ...HEALTH, reason: "x".repeat(201) }],
  ["a reason with line ends", { ...HEALTH, reason: "a\nb" }],
  ["a time that is none", { ...HEALTH, since: -1 }],
])("%s: the task is read as one that is not checked", (_, health) => {
  const fields = { ...(decode(encodeRecord("task", task("web", "a"))) as object), health };
  expect(decoded(fields).health).toBeUndefined();
});

test("a service without check is written as older versions write it", () => {
  const catalog = new Catalog("a");
  catalog.declare(declared("web", spec(80)), 1);
  const text = catalog.snapshot({ isFileKnown: true, members: null });
  for (const key of ["check", "panic", "slowStartMs"]) expect(text).not.toContain(key);
});

test("other nodes hear of a change of health", () => {
  const [one, other] = [new Catalog("a"), new Catalog("b")];
  other.setLive(["a", "b"]);
  one.writeNode(nodeRecord());
  one.declare(declared("web", spec(80)), 1);
  one.writeTask(task("web", "t", { health: HEALTH }));
  for (const payload of one.draw(1_000_000, 4)) other.onMessage("a", payload, 1);
  expect(other.tasksOf("web").map(({ health }) => health)).toEqual([HEALTH]);
});
