/**
 * This worker's key pair for sealing what goes between nodes, replaced from time to time, and what it shares with others.
 *
 * Who has been shown a public key keeps its `OwnKey` for as long as it waits for the answer, so replacing takes nothing
 * away from anybody, and the private key is gone when the last of them has gone.
 */
import { KeyPair } from "../../sys/key-pair.ts";
import { Libcrypto } from "../../sys/libcrypto.ts";
import { Gcm, PairSecret } from "../../wire/index.ts";

/** What is recorded can be opened with a stolen private key for no longer than this. */
const LIFE_MS = 3_600_000;
/** Workers of other nodes times relay keys; the one that was made first is forgotten then, and made again when needed. */
const MAX_SECRETS = 4_096;

export class OwnKey {
  readonly #pair = new KeyPair();
  /** By relay key and public key; bounded by MAX_SECRETS. */
  readonly #secrets = new Map<string, PairSecret>();

  constructor(readonly gcm: Gcm) {}

  get publicKey(): Uint8Array {
    return this.#pair.publicKey;
  }

  /** Only with a key that has proved to be a node's, as it is costly. null: it is none. */
  secretWith(publicKey: Uint8Array, relayKey: Uint8Array): PairSecret | null {
    const name = relayKey.toHex() + publicKey.toHex();
    const known = this.#secrets.get(name);
    if (known !== undefined) return known;
    const secret = this.#pair.agree(publicKey);
    if (secret === null) return null;
    if (this.#secrets.size >= MAX_SECRETS) this.#secrets.delete(this.#secrets.keys().next().value!);
    const made = new PairSecret(relayKey, secret, this.gcm);
    this.#secrets.set(name, made);
    return made;
  }
}

export class OwnKeys {
  #gcm: Gcm | null = null;
  #key: OwnKey | null = null;
  #madeMs = 0;

  /** The one to show now. */
  current(nowMs: number): OwnKey {
    if (this.#key === null || nowMs - this.#madeMs >= LIFE_MS) {
      this.#gcm ??= new Gcm(Libcrypto.open());
      this.#key = new OwnKey(this.#gcm);
      this.#madeMs = nowMs;
    }
    return this.#key;
  }
}
