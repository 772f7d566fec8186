import { expect, test } from "bun:test";
import { MemberRecord } from "../../../src/membership/member.ts";
import { PROFILES } from "../../../src/membership/profile.ts";
import { Suspicion } from "../../../src/membership/suspicion.ts";
import { SuspicionQueue } from "../../../src/membership/suspicion-queue.ts";
import { OUR_VERSIONS } from "../../../src/membership/versions.ts";
import { OTHER_ADDRESS } from "../../support/gossip/one-machine.ts";
import { seededRandom } from "../../support/random/seeded-random.ts";

function suspect(name: string, nowMs: number): MemberRecord {
  const record = new MemberRecord(name, OTHER_ADDRESS, new Uint8Array(), OUR_VERSIONS, nowMs);
  record.enter("suspect", nowMs);
  record.suspicion = new Suspicion(PROFILES.lan, 10, "accuser", nowMs);
  return record;
}

test("whatever is added, confirmed and cleared in whatever order, each ends once and in order", () => {
  const random = seededRandom(7);
  const queue = new SuspicionQueue();
  const records = Array.from({ length: 3_000 }, (_, i) => suspect(`m${i}`, Math.floor(random() * 10_000)));
  for (const record of records) queue.add(record);
  for (const record of records) {
    if (random() < 0.3) record.suspicion = null;
    else if (random() < 0.5 && record.suspicion!.confirm("another")) queue.add(record);
  }
  const wanted = records
    .flatMap(({ suspicion }) => suspicion ?? [])
    .map(({ deadlineMs }) => deadlineMs)
    .sort((a, b) => a - b);
  const taken: number[] = [];
  for (;;) {
    const nextMs = queue.nextDeadlineMs;
    expect(queue.takeDue(nextMs - 1)).toBeNull();
    const record = queue.takeDue(nextMs);
    if (record === null) break;
    taken.push(record.suspicion!.deadlineMs);
    record.suspicion = null;
  }
  expect(taken).toEqual(wanted);
  expect(queue.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
});

test("one that is suspected and cleared again and again leaves no mountain behind", () => {
  const queue = new SuspicionQueue();
  const record = suspect("m", 0);
  for (let i = 0; i < 100_000; i++) {
    record.suspicion = new Suspicion(PROFILES.lan, 10, "accuser", i);
    queue.add(record);
  }
  expect(queue.size).toBeLessThan(2_000);
});
