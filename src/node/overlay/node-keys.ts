/**
 * The key of this node and the secrets it has with others: X25519 [RFC 7748] of both nodes' keys, then HKDF [RFC 5869]
 * with a key of the cluster: neither a host outside the cluster nor a member that only listens can derive them.
 *
 * The key is new at every start and is never written anywhere: what was recorded before is of no use after it, and
 * counters of seals start at 0 under secrets that are new.
 */
import { KeyPair } from "../../sys/key-pair.ts";
import { Hkdf } from "../../wire/index.ts";

const SECRET_BYTES = 32;

export class NodeKeys {
  /** Hex of 32 bytes, announced to the others. */
  readonly publicKey: string;
  readonly #pair = new KeyPair();

  constructor() {
    this.publicKey = this.#pair.publicKey.toHex();
  }

  /**
   * Hex of 32 bytes each, in the order of the cluster's keys (base64); the other node finds the same ones.
   * null: its public key is one that makes the secret known to everybody [RFC 7748 §6.1].
   */
  secretsWith(peerPublicKey: string, clusterKeys: readonly string[], clusterName: string): string[] | null {
    const shared = this.#pair.agree(Buffer.from(peerPublicKey, "hex"));
    if (shared === null) return null;
    const nodes = [this.publicKey, peerPublicKey].sort().join(" ");
    return clusterKeys.map((key) => {
      const material = Buffer.concat([shared, Buffer.from(key, "base64")]);
      return new Hkdf(material, clusterName).expand(SECRET_BYTES, `portmesh overlay pair ${nodes}`).toHex();
    });
  }
}
