/** A part of the node with state or sockets that only one process may use: it stops before the successor begins. */

export interface Handed {
  readonly bytes: Uint8Array;
  /** MAX_DESCRIPTORS a message: the channel splits them. */
  readonly fds: readonly number[];
}

export interface HandoverPart {
  readonly key: string;
  /** Stops using it. Returns what the successor's part of this key continues with; null: nothing. */
  freeze(): Promise<Handed | null>;
  /** The successor does not go on: as before. */
  thaw(): Promise<void>;
  /** The successor serves. */
  leave(): Promise<void>;
}
