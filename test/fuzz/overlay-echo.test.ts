/**
 * An echo exchange on arbitrary and mutated datagrams. FUZZ_RUNS sets how many (default 200000), FUZZ_SEED repeats a
 * run. Checked every time: no exception, every datagram is counted once, and only untouched ones count as authentic.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { ECHO_ANSWER, ECHO_BYTES, ECHO_PROBE, EchoTagger, encodeEcho } from "../../src/overlay/path/echo.ts";
import type { EchoExchange } from "../../src/overlay/path/echo-exchange.ts";
import { addressOf, ECHO_PORT, EchoNetwork, endOf } from "../support/overlay/echo-network.ts";
import { seededRandom } from "../support/random/seeded-random.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 200_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const MAX_BYTES = 120;
/** Time passes between datagrams, so that few are more than a peer may send. */
const STEP_MS = 20;

const random = seededRandom(SEED);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

function below(limit: number): number {
  return Math.floor(random() * limit);
}

const SECRETS = ["42".repeat(32)];
const tagger = new EchoTagger(SECRETS);

/** A true datagram of n2 of that length, up to which field values are random. */
function writeTrue(bytes: Uint8Array): void {
  encodeEcho(
    {
      type: bytes.length === ECHO_BYTES && below(2) === 0 ? ECHO_ANSWER : ECHO_PROBE,
      size: bytes.length + 28,
      id: below(2 ** 31),
      isInUse: below(2) === 0,
      run: new Uint8Array(8).fill(below(3)),
      sender: Uint8Array.from([10, 200, 0, 2]),
    },
    bytes,
  );
  tagger.write(bytes);
}

function totalOf({ counts }: EchoExchange): number {
  const { answersSent, answersReceived, droppedExcess, droppedMalformed } = counts;
  const { droppedStale, droppedStranger, droppedUnauthentic } = counts;
  const dropped = droppedExcess + droppedMalformed + droppedStale + droppedStranger + droppedUnauthentic;
  return answersSent + answersReceived + dropped;
}

test("EchoExchange on arbitrary and mutated datagrams", () => {
  const network = new EchoNetwork();
  const exchange = network.add("n1");
  exchange.setPeers([endOf("n2", SECRETS)]);
  let intactProbes = 0;
  for (let run = 0; run < RUNS; run++) {
    network.clock.skip(STEP_MS);
    const isTrue = random() < 0.8;
    const bytes = new Uint8Array(isTrue ? ECHO_BYTES + below(MAX_BYTES - ECHO_BYTES) : below(MAX_BYTES));
    for (let at = 0; at < bytes.length; at++) bytes[at] = below(256);
    if (isTrue) writeTrue(bytes);
    const before = bytes.slice(0, ECHO_BYTES);
    for (let flips = below(3); flips > 0 && bytes.length > 0; flips--)
      bytes[below(bytes.length)]! ^= 1 << below(8);
    const isIntact = isTrue && before.every((byte, at) => byte === bytes[at]);
    const total = totalOf(exchange);
    const { answersSent } = exchange.counts;
    network.inject({ from: addressOf("n2"), to: addressOf("n1"), bytes }, below(50) === 0 ? 1 : ECHO_PORT);
    if (totalOf(exchange) !== total + 1)
      throw new Error(`run ${run}: counted ${totalOf(exchange) - total} times`);
    if (exchange.counts.answersSent > answersSent) {
      if (!isIntact) throw new Error(`run ${run}: answered ${bytes.toHex()}`);
      intactProbes++;
    }
    network.carried.length = 0;
  }
  expect(intactProbes).toBeGreaterThan(RUNS / 10);
  expect(exchange.counts.droppedMalformed).toBeGreaterThan(RUNS / 50);
  expect(exchange.counts.droppedUnauthentic).toBeGreaterThan(RUNS / 50);
  expect(exchange.counts.droppedStale).toBeGreaterThan(0);
  expect(exchange.counts.droppedStranger).toBeGreaterThan(RUNS / 200);
});
