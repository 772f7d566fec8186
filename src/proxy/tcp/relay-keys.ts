/** This node's name and keys for relay connections: replaced by a reload, read for every connection. */
import { HelloProver, RelaySigner } from "../../wire/index.ts";
import { ClearRule } from "../relay/clear-rule.ts";
import type { RelayIdentity } from "../relay/identity.ts";
import type { RelayPeer } from "../table/peer.ts";

/** One relay key towards one exit node. */
interface Proof {
  readonly signer: RelaySigner;
  readonly prover: HelloProver;
}

export class RelayKeys {
  clearRule = ClearRule.NOWHERE;
  #keys: readonly Uint8Array[] = [new Uint8Array(32)];
  /** For connections to this node, one per key. */
  #own: readonly Proof[] = [];
  /** By exit node; bounded by the peers there have been under one key. */
  readonly #proofs = new Map<string, Proof>();

  change({ node, keys, clearRule }: RelayIdentity): void {
    this.clearRule = clearRule;
    this.#keys = keys;
    this.#own = keys.map((key) => proofOf(key, node));
    this.#proofs.clear();
  }

  signerFor(peer: RelayPeer): RelaySigner {
    return this.#proofFor(peer).signer;
  }

  proverFor(peer: RelayPeer): HelloProver {
    return this.#proofFor(peer).prover;
  }

  isSigned(bytes: Uint8Array, at: number, length: number): boolean {
    return this.#own.some(({ signer }) => signer.isSigned(bytes, at, length));
  }

  /** The one whose key made the hello at `at`; null: none. */
  findProver(greeting: Uint8Array, bytes: Uint8Array, at: number): HelloProver | null {
    const found = this.#own.find(({ prover }) => prover.isProved(greeting, bytes, at));
    return found?.prover ?? null;
  }

  #proofFor({ name }: RelayPeer): Proof {
    let proof = this.#proofs.get(name);
    if (proof === undefined) {
      proof = proofOf(this.#keys[0]!, name);
      this.#proofs.set(name, proof);
    }
    return proof;
  }
}

function proofOf(key: Uint8Array, exitNode: string): Proof {
  return { signer: new RelaySigner(key, exitNode), prover: new HelloProver(key, exitNode) };
}
