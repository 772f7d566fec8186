/**
 * The filter of what arrives under the overlay (overlay/kernel/underlay-filter.ts) as a driver has it: where the kernel has no nf_tables the
 * overlay runs without one, and says so.
 */
import { type FilteredFrames, NetlinkError, type OverlayPeer, UnderlayFilter } from "../../overlay/index.ts";

export class UnderlayGuard {
  readonly #table: string;
  readonly #frames: FilteredFrames;
  #filter: UnderlayFilter | null = null;
  #problem: string | null = null;

  /** @param table unique on the machine */
  constructor(table: string, frames: FilteredFrames) {
    this.#table = table;
    this.#frames = frames;
  }

  /** Why the filter is missing; null: it is there, or not needed yet. */
  get problem(): string | null {
    return this.#problem;
  }

  /** The paths to these nodes, under both of their addresses. What has failed is tried again. */
  protect(peers: readonly OverlayPeer[]): void {
    const addresses = peers.flatMap(({ underlayAddress, overlayAddress }) => [
      underlayAddress,
      overlayAddress,
    ]);
    try {
      this.#filter ??= UnderlayFilter.open(this.#table, this.#frames);
      this.#filter.setNodes(new Set(addresses));
      this.#problem = null;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      this.close();
      const frames = this.#frames === null ? "" : ", and frames in its name are accepted from any address";
      this.#problem = `forged ICMP can shrink packets to it${frames}: ${error.message}`;
    }
  }

  close(): void {
    this.#filter?.close();
    this.#filter = null;
  }
}
