/** At which of this node's addresses other nodes may come in clear. */
import { type Endpoint, parseIp } from "../../wire/index.ts";

/** At all addresses, or at these literal ones. */
export type AcceptsClear = "always" | readonly string[];

export class ClearRule {
  static readonly NOWHERE = new ClearRule([]);
  /** In hex; null: at all. */
  readonly #addresses: ReadonlySet<string> | null;

  constructor(acceptsClear: AcceptsClear) {
    this.#addresses =
      acceptsClear === "always"
        ? null
        : new Set(acceptsClear.map((address) => parseIp(address)!.bytes.toHex()));
  }

  get isEverywhere(): boolean {
    return this.#addresses === null;
  }

  equals(other: ClearRule): boolean {
    return Bun.deepEquals(this.#addresses, other.#addresses);
  }

  /** @param own address that a connection or datagram came to */
  accepts({ family, bytes, offset }: Pick<Endpoint, "family" | "bytes" | "offset">): boolean {
    if (this.#addresses === null) return true;
    return this.#addresses.has(bytes.subarray(offset, offset + (family === 4 ? 4 : 16)).toHex());
  }
}
