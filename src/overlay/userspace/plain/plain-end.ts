/** This node's end of plain frames. */
export interface PlainEnd {
  /** Overlay address of this node, int32 in network order. */
  readonly address: number;
  readonly mac: Uint8Array;
  readonly vni: number;
  /** All plain frames are dropped. */
  readonly isEncrypting: boolean;
}
