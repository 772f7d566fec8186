/** What the trials of two nodes say together: every port in both directions. Pure. */
import type { Heard, Outcome, Report, Trial } from "./message.ts";
import type { TestedPeer } from "./trials.ts";

export interface PortTest extends Trial {
  /** Names of the nodes. */
  readonly from: string;
  readonly to: string;
}

/** The ports between this node and another. */
export interface PeerPorts {
  readonly node: string;
  /** Where it gossips. */
  readonly address: string;
  readonly tests: readonly PortTest[];
  /** Why nothing is known of what it sends here; null: it is known. */
  readonly notTested: string | null;
  /** false: another member of the memberlist protocol, of which gossip is all there is to test. */
  readonly isPortmesh: boolean;
  /** What it says is wrong with its own end of the overlay. */
  readonly problems: readonly string[];
  /** Addresses that it has seen this node's datagrams come from. */
  readonly seenAs: readonly string[];
}

export interface PortEvidence {
  readonly self: string;
  readonly peer: TestedPeer;
  readonly trials: readonly Trial[];
  /** Its marks and echoes that came here. */
  readonly heard: Heard;
  /** null: it has not reported. */
  readonly report: Report | null;
  readonly notTested: string | null;
  /** It uses other keys: it reads no datagram of this node, and this one none of its. */
  readonly hasOtherKey?: boolean;
}

export function judge(seen: PortEvidence): PeerPorts {
  const { self, peer, heard, report, notTested } = seen;
  const trials = seen.hasOtherKey === true ? seen.trials.map(withoutProof) : seen.trials;
  const isInsideOpen = [...trials, ...(report?.trials ?? [])].some(
    ({ isInside, protocol, outcome }) => isInside && protocol === "tcp" && outcome === "open",
  );
  const hasEcho = (list: readonly Trial[]) =>
    list.some(({ kind, outcome }) => kind === "overlay" && outcome === "open");
  const isEchoed = hasEcho(trials) || hasEcho(report?.trials ?? []);
  const outward = completeTrials(trials, report?.heard ?? NOTHING_HEARD, { isInsideOpen, isEchoed }, peer);
  const inward = completeTrials(report?.trials ?? [], heard, { isInsideOpen, isEchoed }, peer);
  return {
    node: peer.name,
    address: peer.address,
    tests: [
      ...outward.map((trial) => ({ ...trial, from: self, to: peer.name })),
      ...inward.map((trial) => ({ ...trial, from: peer.name, to: self })),
    ],
    notTested,
    isPortmesh: peer.isPortmesh,
    problems: report?.problems ?? [],
    seenAs: sourcesOf(report),
  };
}

function sourcesOf(report: Report | null): string[] {
  const sources = [report?.heard.fresh, report?.heard.known].filter((source) => source != null);
  return [...new Set(sources)];
}

/** A datagram under another key is never answered, even when it arrives. */
function withoutProof(trial: Trial): Trial {
  const isUnheard = trial.outcome === "silent" || trial.outcome === "sent";
  return trial.protocol === "udp" && isUnheard ? { ...trial, outcome: "not-tested" } : trial;
}

const NOTHING_HEARD: Heard = { fresh: null, known: null, echo: false };

interface OverlayProof {
  /** A connection has passed through it. */
  readonly isInsideOpen: boolean;
  /** An echo has gone there and come back. */
  readonly isEchoed: boolean;
}

/** @param heard by the node that the trials went to */
function completeTrials(
  trials: readonly Trial[],
  heard: Heard,
  overlay: OverlayProof,
  { overlay: end }: TestedPeer,
): Trial[] {
  return trials.flatMap((trial): Trial[] => {
    if (trial.outcome === "not-tested") return [trial];
    if (trial.kind === "gossip" && trial.protocol === "udp")
      return [{ ...trial, outcome: gossipOutcome(trial.outcome, heard) }];
    if (trial.isInside && !overlay.isInsideOpen && !overlay.isEchoed)
      return [{ ...trial, outcome: "not-tested" }]; // what carries it does not get through
    if (trial.kind !== "overlay") return [trial];
    const isHeard = heard.echo || overlay.isEchoed;
    const isOpen = isHeard || overlay.isInsideOpen;
    const carrier: Trial = { ...trial, outcome: isOpen ? "open" : "silent" };
    if (end === null || isHeard || !overlay.isInsideOpen) return [carrier];
    const address = trials.find(({ isInside }) => isInside)?.address ?? trial.address;
    const echo = { kind: "echo", port: end.echoPort, address, isInside: true, outcome: "silent" } as const;
    return [carrier, { ...trial, ...echo }];
  });
}

function gossipOutcome(outcome: Outcome, { fresh, known }: Heard): Outcome {
  if (outcome === "open" || fresh !== null) return "open";
  if (known !== null) return "replies-only";
  return outcome === "sent" ? "silent" : outcome;
}
