/** One membership machine and what it wants done, for tests that play the others. */
import {
  type Effect,
  type MemberEvent,
  Membership,
  type MembershipState,
  PROFILES,
} from "../../../src/membership/index.ts";
import { OUR_VERSIONS } from "../../../src/membership/versions.ts";
import {
  type AliveMessage,
  decodeMessage,
  encodeMessage,
  encodeTags,
  type GossipMessage,
} from "../../../src/wire/gossip/index.ts";
import { seededRandom } from "../random/seeded-random.ts";

const SELF_ADDRESS = { ip: Uint8Array.of(10, 0, 0, 1), port: 7946 };
export const OTHER_ADDRESS = { ip: Uint8Array.of(10, 0, 0, 2), port: 7946 };
const TAGS = { pm: "1", cluster: "test" };

export function alive(node: string, incarnation: number, changes: Partial<AliveMessage> = {}): AliveMessage {
  const { ip, port } = node === "self" ? SELF_ADDRESS : OTHER_ADDRESS;
  const [meta, versions] = [encodeTags(TAGS), OUR_VERSIONS];
  return { type: "alive", node, incarnation, address: ip, port, meta, versions, ...changes };
}

export class OneMachine {
  nowMs = 1_000;
  readonly machine: Membership;

  /** @param inherited of another process of the same node */
  constructor(inherited?: MembershipState) {
    this.machine = new Membership(
      {
        profile: PROFILES.lan,
        name: "self",
        address: SELF_ADDRESS,
        tags: TAGS,
        clusterName: "test",
        packetBudgetBytes: 1_390,
        random: seededRandom(1),
        inherited,
      },
      this.nowMs,
    );
  }

  /** What it does when somebody says this. */
  hear(...messages: GossipMessage[]): Effect[] {
    return this.machine.onPacket(messages.map(encodeMessage), OTHER_ADDRESS, this.nowMs);
  }

  /** Ticks whenever it wants to. */
  run(ms: number): Effect[] {
    const effects: Effect[] = [];
    const endMs = this.nowMs + ms;
    for (let ticks = 0; ticks < 10_000 && this.machine.nextDeadlineMs() <= endMs; ticks++) {
      this.nowMs = Math.max(this.nowMs, this.machine.nextDeadlineMs());
      effects.push(...this.machine.tick(this.nowMs));
    }
    this.nowMs = endMs;
    return effects;
  }

  view(name: string): readonly [state: string, incarnation: number] | null {
    const member = this.machine.member(name);
    return member === null ? null : [member.state, member.incarnation];
  }
}

export function events(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === "event" ? [describe(effect.event)] : []));
}

function describe(event: MemberEvent): string {
  return "name" in event ? `${event.type} ${event.name}` : event.type;
}

export function sentMessages(effects: readonly Effect[]): GossipMessage[] {
  const packets = effects.flatMap((effect) => (effect.kind === "packet" ? [effect] : []));
  return packets.flatMap(({ messages }) => messages.map((bytes) => decodeMessage(bytes)!));
}
