/** An X25519 key pair that is made here and never leaves the process. [RFC 7748] */
import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

/** The bytes before the 32 of a public key in DER. [RFC 8410 §4] */
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b656e032100");

export class KeyPair {
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync("x25519");
    this.publicKey = publicKey.export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length);
    this.#privateKey = privateKey;
  }

  /** 32 bytes that only the owners of the two keys know; null: their key yields no secret. Costs 30 us. */
  agree(theirs: Uint8Array): Uint8Array | null {
    try {
      const publicKey = createPublicKey({
        key: Buffer.concat([SPKI_PREFIX, theirs]),
        format: "der",
        type: "spki",
      });
      return diffieHellman({ privateKey: this.#privateKey, publicKey });
    } catch {
      // a point of small order would make the secret known to all [RFC 7748 §6.1]
      return null;
    }
  }
}
