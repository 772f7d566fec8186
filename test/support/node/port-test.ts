/** Nodes and ports as tests of ports see them: all is well but for what the test changes. */
import type { Heard, Report, Trial } from "../../../src/node/port-test/message.ts";
import type { TestedPeer } from "../../../src/node/port-test/trials.ts";

export const NOTHING_HEARD: Heard = { fresh: null, known: null, echo: false };

export function testedPeer(name: string, changes: Partial<TestedPeer> = {}): TestedPeer {
  return {
    name,
    address: "192.0.2.2",
    gossipPort: 7946,
    rttMs: 1,
    isPortmesh: true,
    relay: { address: "192.0.2.2", port: 4789 },
    udpRelay: { address: "192.0.2.2", port: 4789, isSealed: true },
    overlay: null,
    ...changes,
  };
}

export function trial(changes: Partial<Trial> = {}): Trial {
  return {
    kind: "gossip",
    protocol: "tcp",
    port: 7946,
    address: "192.0.2.2",
    isInside: false,
    outcome: "open",
    ...changes,
  };
}

export function report(changes: Partial<Report> = {}): Report {
  return {
    type: "report",
    from: "b",
    run: "0123456789abcdef",
    isDone: true,
    heard: NOTHING_HEARD,
    trials: [],
    problems: [],
    ...changes,
  };
}
