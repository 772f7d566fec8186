/**
 * The version vector of a member: [pMin, pMax, pCur, dMin, dMax, dCur], protocol and delegate. Members whose ranges
 * exclude each other must not share a cluster: one of them would stop every push/pull of all the others.
 * memberlist: state.go, verifyProtocol.
 */
export const OUR_VERSIONS: Uint8Array = Uint8Array.of(1, 5, 2, 2, 5, 5);

const P_MAX = 1;
const D_MIN = 3;
const VECTOR_BYTES = 6;

export interface Versioned {
  readonly versions: Uint8Array;
  readonly isAlive: boolean;
}

/** Six bytes, ordered, and understanding what we speak. */
export function isUsable(versions: Uint8Array): boolean {
  if (versions.length !== VECTOR_BYTES) return false;
  const [pMin, pMax, pCur, dMin, dMax, dCur] = versions as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (pMin === 0 || pMin > pMax || dMin > dMax) return false;
  return (
    isWithin(OUR_VERSIONS[2]!, pMin, pMax) &&
    isWithin(OUR_VERSIONS[5]!, dMin, dMax) &&
    isWithin(pCur, 1, 5) &&
    isWithin(dCur, 2, 5)
  );
}

/** Answers a ping over TCP. */
export function answersStreamPing(versions: Uint8Array): boolean {
  return (versions[P_MAX] ?? 0) >= 3;
}

export function sendsNacks(versions: Uint8Array): boolean {
  return (versions[P_MAX] ?? 0) >= 4;
}

export function readsCrc(versions: Uint8Array): boolean {
  return (versions[P_MAX] ?? 0) >= 5;
}

/** null: all can live together; else why not. Every node's current version must lie in what all alive ones understand. */
export function findIncompatibility(nodes: readonly Versioned[]): string | null {
  return findOutside("protocol", 0, nodes) ?? findOutside("delegate", D_MIN, nodes);
}

function findOutside(what: string, at: number, nodes: readonly Versioned[]): string | null {
  let least = 0;
  let most = 255;
  for (const { isAlive, versions } of nodes) {
    if (!isAlive || versions.length < VECTOR_BYTES - 1) continue;
    least = Math.max(least, versions[at] ?? 0);
    most = Math.min(most, versions[at + 1] ?? 0);
  }
  const other = nodes.find(({ versions }) => !isWithin(versions[at + 2] ?? 0, least, most));
  return other === undefined
    ? null
    : `${what} version ${other.versions[at + 2] ?? 0} is outside ${least}..${most}`;
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
