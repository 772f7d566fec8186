/** Who this node is to others, and with which keys it signs and checks: changed by a reload, read for every connection. */
import { RelaySigner } from "../../../wire/index.ts";
import type { RelayPeer } from "../../worker/relay-peer.ts";

export class RelayKeys {
  #keys: readonly Uint8Array[] = [new Uint8Array(32)];
  /** Of headers that come to this node, by each key. */
  #own: readonly RelaySigner[] = [];
  /** By the name of the exit node; bounded by the peers there have been under one key. */
  readonly #signers = new Map<string, RelaySigner>();

  /** @param keys never empty; the first signs, all verify */
  change(node: string, keys: readonly Uint8Array[]): void {
    this.#keys = keys;
    this.#own = keys.map((key) => new RelaySigner(key, node));
    this.#signers.clear();
  }

  signerFor({ name }: RelayPeer): RelaySigner {
    let signer = this.#signers.get(name);
    if (signer === undefined) {
      signer = new RelaySigner(this.#keys[0]!, name);
      this.#signers.set(name, signer);
    }
    return signer;
  }

  isSigned(bytes: Uint8Array, at: number, length: number): boolean {
    return this.#own.some((signer) => signer.isSigned(bytes, at, length));
  }
}
