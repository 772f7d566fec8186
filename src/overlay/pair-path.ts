/**
 * How two nodes reach each other, from what both announce. Both sides decide the same, except briefly while one has
 * older information: so the sender decides, and the receiver accepts either.
 *
 *                  neither encrypts         either encrypts
 *   both userspace   plain VXLAN              sealed super-packets
 *   both kernel      plain VXLAN              plain VXLAN, relays sealed in it
 *   one of each      plain VXLAN              node addresses, relays sealed: a userspace node that
 *                                             encrypts accepts no clear frames
 *   one has none     node addresses           node addresses, relays sealed
 */
import { isInSubnet } from "./address-plan.ts";
import type { DriverName } from "./driver.ts";

/** What a node announces about its end. */
export interface Announcement {
  readonly driver: DriverName;
  /** Overlay address; null: none, or not yet. */
  readonly address: string | null;
  readonly vni: number;
  /** UDP. */
  readonly port: number;
  readonly encrypt: boolean;
  /** Hex of its X25519 key [RFC 7748]; null: it has none, for it has no cluster key. */
  readonly publicKey: string | null;
}

export interface PairPath {
  /** `sealed`: whole super-packets are; null: relays go over the nodes' own addresses. */
  readonly frames: "plain" | "sealed" | null;
  /** One of both encrypts: nothing goes between them in clear. */
  readonly isEncrypted: boolean;
  /** Why the overlay is not used, where both have one; null: it is, or one has none. */
  readonly problem: string | null;
}

/** @param subnet canonical IPv4 prefix of this node's overlay; its own address is not asked for */
export function pairPath(own: Announcement, peer: Announcement, subnet: string): PairPath {
  const isEncrypted = own.encrypt || peer.encrypt;
  const direct = (problem: string | null): PairPath => ({ frames: null, isEncrypted, problem });
  if (own.driver === "none" || peer.driver === "none") return direct(null);
  if (peer.address === null) return direct("it has no overlay address yet");
  if (own.vni !== peer.vni) return direct(`overlay.vni is ${own.vni} here, ${peer.vni} there`);
  if (!isInSubnet(peer.address, subnet))
    return direct(`overlay.subnet is ${subnet} here, its address ${peer.address}`);
  if (!isEncrypted) return { frames: "plain", isEncrypted, problem: null };
  if (own.driver !== peer.driver)
    return direct(`the drivers ${own.driver} and ${peer.driver} cannot encrypt for each other`);
  if (own.driver === "kernel") return { frames: "plain", isEncrypted, problem: null };
  if (own.publicKey === null || peer.publicKey === null)
    return direct("one of the two nodes has no public key");
  return { frames: "sealed", isEncrypted, problem: null };
}
