/** The events of the cluster (events/) with what a node has of others: its gossip. */
import type { Config } from "../../config/index.ts";
import type { NodeClock } from "../../sys/clock.ts";
import { ClusterEvents, type EventPeer } from "../events/cluster-events.ts";
import type { Events } from "../events/events.ts";
import { hostOf } from "./address.ts";
import type { Members } from "./members.ts";

export interface PeerEventParts {
  readonly self: string;
  readonly config: () => Config;
  readonly clock: NodeClock;
  /** null while the node has not joined its cluster. */
  readonly members: () => Members | null;
  readonly events: Events;
}

export function newClusterEvents({ self, config, clock, members, events }: PeerEventParts): ClusterEvents {
  return new ClusterEvents({
    self,
    events,
    hasKeys: () => (config().cluster?.keys.length ?? 0) > 0,
    peers: () => peersOf(members(), self),
    ask: async ({ name }, payload, timeoutMs) => {
      const member = members()?.member(name);
      const asking = member && members()?.gossip?.ask(member.address, payload, timeoutMs);
      return (await asking) ?? { payload: null, failure: "unreached" };
    },
    clock: clock.steady,
    nowMs: () => clock.nowMs(),
  });
}

function peersOf(members: Members | null, self: string): EventPeer[] {
  const others = (members?.members() ?? []).filter(({ name }) => name !== self);
  return others.map(({ name, address, state, isPortmesh }) => ({
    name,
    host: hostOf(address),
    state,
    isPortmesh,
  }));
}
