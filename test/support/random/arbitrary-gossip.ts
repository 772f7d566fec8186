/** fast-check arbitraries of gossip messages, of every form that encoders may be given. */
import fc from "fast-check";
import type { GossipMessage, PingSource, PushPull, RemoteMember } from "../../../src/wire/gossip/index.ts";

const u32 = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1), fc.constant(2 ** 32 - 1));
const port = fc.nat(65535);
const name = fc.string({ unit: "binary", maxLength: 40 });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const address = fc.constantFrom(4, 16).chain((n) => fc.uint8Array({ minLength: n, maxLength: n }));

const source: fc.Arbitrary<PingSource> = fc.record({
  address,
  port: fc.integer({ min: 1, max: 65535 }),
  node: name,
});
const sourceOrNone = fc.option(source);

export const gossipMessage: fc.Arbitrary<GossipMessage> = fc.oneof(
  fc.record({ type: fc.constant("ping" as const), seq: u32, node: name, source: sourceOrNone }),
  fc.record({
    type: fc.constant("indirect-ping" as const),
    seq: u32,
    target: address,
    port,
    node: name,
    wantsNack: fc.boolean(),
    source: sourceOrNone,
  }),
  fc.record({ type: fc.constant("ack" as const), seq: u32, payload: fc.option(bytes(300)) }),
  fc.record({ type: fc.constant("nack" as const), seq: u32 }),
  fc.record({ type: fc.constant("error" as const), text: name }),
  fc.record({ type: fc.constant("suspect" as const), incarnation: u32, node: name, from: name }),
  fc.record({ type: fc.constant("dead" as const), incarnation: u32, node: name, from: name }),
  fc.record({
    type: fc.constant("alive" as const),
    incarnation: u32,
    node: name,
    address,
    port,
    meta: bytes(512),
    versions: bytes(8),
  }),
  fc.record({ type: fc.constant("user" as const), payload: bytes(300) }),
);

const remoteMember: fc.Arbitrary<RemoteMember> = fc.record({
  name,
  address,
  port,
  meta: bytes(100),
  incarnation: u32,
  state: fc.constantFrom("alive" as const, "suspect" as const, "dead" as const, "left" as const),
  versions: bytes(8),
});

export const pushPull: fc.Arbitrary<PushPull> = fc.record({
  isJoin: fc.boolean(),
  members: fc.array(remoteMember, { maxLength: 20 }),
  userState: bytes(300),
});
