import { expect, test } from "bun:test";
import type { Effect, Membership } from "../../../../src/membership/index.ts";
import { addressOf } from "../../../../src/node/cluster/address.ts";
import { Gossip } from "../../../../src/node/cluster/gossip.ts";
import { decodeMessage, encodeMessage, openPacket } from "../../../../src/wire/gossip/index.ts";
import { MemoryGossip } from "../../../support/gossip/memory-gossip.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const TO = addressOf("192.0.2.2", 7_946)!;

function ping(seq: number): Effect {
  const message = encodeMessage({ type: "ping", seq, node: "b", source: null });
  return { kind: "packet", to: TO, messages: [message], withCrc: false };
}

test("what carrying out an effect leads to comes after the effects that were wanted before it", async () => {
  const clock = new ManualClock();
  const { transport } = new MemoryGossip(clock);
  const received: (number | undefined)[] = [];
  const { close } = await transport.openDatagrams({
    host: "192.0.2.2",
    port: 7_946,
    onDatagram: ({ bytes }) => {
      const message = decodeMessage(openPacket(bytes, { keyring: null }).messages[0]!);
      received.push(message?.type === "ping" ? message.seq : undefined);
    },
  });
  const asked: number[] = [];
  const gossip: Gossip = await Gossip.open({
    host: "192.0.2.1",
    port: 7_946,
    source: () => null,
    clock,
    transport,
    keyring: null,
    machine: { nextDeadlineMs: () => Number.POSITIVE_INFINITY } as Membership,
    maxExchanges: 10,
    silenceMs: 1_000,
    exchangeTimeoutMs: 1_000,
    onNotification: () => {
      asked.push(received.length);
      gossip.run(() => [ping(3)]); // as the catalog answers a message that came along with others
    },
    onPortTest: () => null,
    onEventsAsked: () => null,
    onDropped: () => undefined,
  });
  const told: Effect = { kind: "user", payload: new Uint8Array([32]) };
  gossip.run(() => [ping(1), told, ping(2)]);
  await clock.advance(10);
  expect([received, asked.length]).toEqual([[1, 2, 3], 1]);
  gossip.close();
  close();
  expect(clock.timerCount).toBe(0);
});
