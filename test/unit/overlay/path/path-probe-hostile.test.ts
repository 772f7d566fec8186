/** A PathProbe to which anything may be told at any time: what holds all the same. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { BASE_MTU, PathProbe, type Probe } from "../../../../src/overlay/path/path-probe.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

const FLIGHT = 16;

type Step =
  | { readonly kind: "poll"; readonly isActive: boolean }
  | { readonly kind: "answer"; readonly which: number; readonly sizeOff: number }
  | { readonly kind: "tooBig"; readonly size: number }
  | { readonly kind: "localMtu"; readonly size: number }
  | { readonly kind: "heard" }
  | { readonly kind: "suspect" };

const sizes = fc.oneof(fc.integer({ min: 68, max: 9100 }), fc.constantFrom(BASE_MTU, 1280, 1500, 65_600));
const step: fc.Arbitrary<readonly [afterMs: number, step: Step]> = fc.tuple(
  fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 100_000 })),
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("poll" as const), isActive: fc.boolean() }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("answer" as const),
        which: fc.nat(40),
        sizeOff: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -2, max: 2 })),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("tooBig" as const), size: sizes }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("localMtu" as const), size: sizes }) },
    { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: "heard" }, { kind: "suspect" }) },
  ),
);

/** Drives a probe and keeps what it has sent; answers of all ages, twice, or of the wrong size. */
class Driver {
  readonly probe = new PathProbe({ localMtu: 1500, overheadBytes: 50, random: seededRandom(1) });
  localMtu = 1500;
  nowMs = 0;
  readonly sent: Probe[] = [];

  take(afterMs: number, told: Step): void {
    this.nowMs += afterMs;
    const { probe, nowMs } = this;
    if (told.kind === "poll") this.#poll(told.isActive);
    else if (told.kind === "answer") this.#answer(told.which, told.sizeOff);
    else if (told.kind === "tooBig") probe.onTooBig(told.size, nowMs);
    else if (told.kind === "heard") probe.onHeard(nowMs);
    else if (told.kind === "suspect") probe.suspect(nowMs);
    else {
      this.localMtu = Math.min(told.size, 65_535);
      probe.onLocalMtu(told.size, nowMs);
    }
  }

  #poll(isActive: boolean): void {
    for (let count = 0; ; count++) {
      expect(count).toBeLessThanOrEqual(FLIGHT);
      const sent = this.probe.poll(this.nowMs, isActive);
      if (sent === null) break;
      expect(sent.size).toBeLessThanOrEqual(this.localMtu);
      this.sent.push(sent);
    }
    expect(this.probe.nextPollMs).toBeGreaterThan(this.nowMs);
    expect(this.probe.nextPollMs).toBeLessThanOrEqual(this.nowMs + 40_000);
  }

  #answer(which: number, sizeOff: number): void {
    const sent = this.sent.at(-1 - which);
    if (sent === undefined) return;
    const isTaken = this.probe.onAck(sent.id, sent.size + sizeOff, this.nowMs);
    if (sizeOff !== 0) expect(isTaken).toBe(false);
    expect(this.probe.onAck(sent.id, sent.size, this.nowMs) && isTaken).toBe(false);
  }
}

test("sizes stay between base and local MTU, flights stay short, and there is always a next time", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const driver = new Driver();
      const { probe } = driver;
      for (const [afterMs, told] of steps) {
        driver.take(afterMs, told);
        expect(probe.mtu).toBeLessThanOrEqual(driver.localMtu);
        expect(probe.mtu).toBeGreaterThanOrEqual(Math.min(BASE_MTU, driver.localMtu));
        if (probe.loss !== null) expect(probe.loss).toBeWithin(0, 1.000001);
        if (probe.state === "base" || probe.state === "error")
          expect(probe.mtu).toBe(Math.min(BASE_MTU, driver.localMtu));
      }
    }),
    { numRuns: 500 },
  );
});
