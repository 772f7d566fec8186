/** Encoded gossip messages of every kind, at random: what fuzz tests begin with. */
import {
  encodeMessage,
  encodePushPull,
  encodeSerfMessage,
  encodeSerfState,
  encodeStreamUser,
  encodeTags,
  type GossipMessage,
  type PingSource,
  type RemoteMember,
} from "../../../src/wire/gossip/index.ts";
import type { Seeded } from "../random/seed.ts";
import { ACK, ALIVE_P1, ALIVE_S1, COMPRESSED_ACK, hex, LEAVE, PING, WEB_TAGS } from "./gossip-vectors.ts";

const QUERY =
  hex(`048b a441646472a47f000001 a746696c7465727391a40091a161 a5466c61677303 a24944cd1234 a54c54696d6505
  a44e616d65a475707469 a75061796c6f6164a178 a4506f7274cd1f0a ab52656c6179466163746f7200
  aa536f757263654e6f6465a27131 a754696d656f7574d300000003b9aca000`);

export class GossipSamples {
  readonly #seeded: Seeded;

  constructor(seeded: Seeded) {
    this.#seeded = seeded;
  }

  /** Any bytes, fewer than `limit`. */
  noise(limit: number): Uint8Array {
    return Uint8Array.from({ length: this.#seeded.below(limit) }, () => this.#seeded.below(256));
  }

  message(): Uint8Array {
    if (this.#seeded.below(3) === 0) return this.#seeded.pick([ACK, ALIVE_P1, ALIVE_S1, LEAVE, PING]);
    return encodeMessage(this.#message());
  }

  pushPull(): Uint8Array {
    const members = Array.from({ length: this.#seeded.below(4) }, () => this.#member());
    const userState = this.#seeded.below(2) === 0 ? this.noise(40) : this.serfState();
    return encodePushPull({ isJoin: this.#seeded.below(2) === 0, members, userState });
  }

  streamUser(): Uint8Array {
    return encodeStreamUser(this.noise(80));
  }

  streamMessage(): Uint8Array {
    switch (this.#seeded.below(5)) {
      case 0:
        return this.pushPull();
      case 1:
        return this.streamUser();
      case 2:
        return COMPRESSED_ACK;
      case 3:
        return encodeMessage({ type: "error", text: this.#name() });
      default:
        return this.#seeded.pick([PING, ACK]);
    }
  }

  tags(): Uint8Array {
    if (this.#seeded.below(4) === 0) return WEB_TAGS;
    const names = Array.from({ length: this.#seeded.below(20) }, () => [this.#name(), this.#name()] as const);
    return encodeTags(Object.fromEntries(names));
  }

  serfMessage(): Uint8Array {
    const [ltime, id, name] = [this.#number(), this.#number() % 2 ** 32, this.#name()];
    switch (this.#seeded.below(5)) {
      case 0:
        return encodeSerfMessage({ type: "leave-intent", ltime, node: name, prune: id % 2 === 0 });
      case 1:
        return encodeSerfMessage({ type: "join-intent", ltime, node: name });
      case 2:
        return encodeSerfMessage({
          type: "user-event",
          ltime,
          name,
          payload: this.noise(40),
          coalesce: true,
        });
      case 3:
        return encodeSerfMessage({
          type: "query-response",
          ltime,
          id,
          from: name,
          flags: 1,
          payload: this.noise(9),
        });
      default:
        return QUERY;
    }
  }

  serfState(): Uint8Array {
    const names = Array.from({ length: this.#seeded.below(20) }, () => this.#name());
    return encodeSerfState({
      ltime: this.#number(),
      eventLTime: this.#number(),
      queryLTime: this.#number(),
      events: names.map((name) => ({ ltime: this.#seeded.below(9), name, payload: this.noise(20) })),
      statusLTimes: new Map(names.map((name) => [name, this.#number()])),
      leftMembers: names.slice(this.#seeded.below(20)),
      digest: this.noise(20),
    });
  }

  #message(): GossipMessage {
    const [number, node, from] = [this.#number() % 2 ** 32, this.#name(), this.#name()];
    switch (this.#seeded.below(7)) {
      case 0:
        return { type: "ping", seq: number, node, source: this.#source() };
      case 1: {
        const [target, port] = [this.#address(), this.#seeded.below(65536)];
        return {
          type: "indirect-ping",
          seq: number,
          target,
          port,
          node,
          wantsNack: true,
          source: this.#source(),
        };
      }
      case 2:
        return { type: "ack", seq: number, payload: this.#seeded.below(2) === 0 ? null : this.noise(300) };
      case 3:
        return { type: "nack", seq: number };
      case 4:
        return { type: "suspect", incarnation: number, node, from };
      case 5: {
        const { address, port, meta, versions } = this.#member();
        return { type: "alive", incarnation: number, node, address, port, meta, versions };
      }
      default:
        return { type: "user", payload: this.serfMessage() };
    }
  }

  #member(): RemoteMember {
    return {
      name: this.#name(),
      address: this.#address(),
      port: this.#seeded.below(65536),
      meta: this.#seeded.below(2) === 0 ? this.tags() : this.noise(20),
      incarnation: this.#number() % 2 ** 32,
      state: this.#seeded.pick(["alive", "suspect", "dead", "left"]),
      versions: this.noise(9),
    };
  }

  #source(): PingSource | null {
    if (this.#seeded.below(2) === 0) return null;
    return { address: this.#address(), port: 1 + this.#seeded.below(65535), node: this.#name() };
  }

  #address(): Uint8Array {
    return Uint8Array.from({ length: this.#seeded.pick([4, 16]) }, () => this.#seeded.below(256));
  }

  /** Of every width that is written differently. */
  #number(): number {
    const limit = this.#seeded.pick([2, 0x80, 0x100, 0x10000, 2 ** 32, Number.MAX_SAFE_INTEGER]);
    return this.#seeded.below(limit);
  }

  #name(): string {
    if (this.#seeded.below(10) === 0)
      return this.#seeded.pick(["", "__proto__", "constructor", "Node", "Name"]);
    const length = this.#seeded.pick([4, 40]);
    return String.fromCodePoint(...this.noise(length).map((byte) => this.#seeded.pick([byte % 128, byte])));
  }
}
