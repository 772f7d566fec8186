/**
 * The keys of a cluster, in order: the first encrypts, all decrypt. Immutable; a rotation is a new ring, on every
 * member in three steps: add the new key, use it, remove the old one. [memberlist keyring.go]
 */

/** AES-128, AES-192, AES-256. */
const KEY_BYTES: readonly number[] = [16, 24, 32];

export class Keyring {
  /** Never empty, no key twice. */
  readonly keys: readonly Uint8Array[];

  private constructor(keys: readonly Uint8Array[]) {
    this.keys = keys;
  }

  /** Null for no keys, or one that is not 16, 24 or 32 bytes long. Keys are copied; repeated ones count once. */
  static of(keys: readonly Uint8Array[]): Keyring | null {
    if (keys.length === 0 || !keys.every((key) => KEY_BYTES.includes(key.length))) return null;
    const distinct = keys.filter((key, index) => keys.findIndex((other) => isSame(key, other)) === index);
    return new Keyring(distinct.map((key) => new Uint8Array(key)));
  }

  /** The key that encrypts. */
  get primary(): Uint8Array {
    return this.keys[0]!;
  }

  has(key: Uint8Array): boolean {
    return this.keys.some((known) => isSame(known, key));
  }

  /** The key decrypts from now on; null when its length is wrong. */
  adding(key: Uint8Array): Keyring | null {
    return Keyring.of([...this.keys, key]);
  }

  /** The key encrypts from now on; null when it is not in the ring. */
  using(key: Uint8Array): Keyring | null {
    return this.has(key) ? Keyring.of([key, ...this.keys]) : null;
  }

  /** Null when the key is the primary one, or not in the ring. */
  without(key: Uint8Array): Keyring | null {
    if (isSame(key, this.primary) || !this.has(key)) return null;
    return Keyring.of(this.keys.filter((known) => !isSame(known, key)));
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
