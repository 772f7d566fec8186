/**
 * What peers may hold of this process before they have proved to be members: connections, bytes and time, for all of
 * them together. At a limit the source address that holds most loses its connection that has been silent for longest,
 * so that a stranger with hundreds of connections locks out no other address. No sockets, no clock: entry points take the time.
 */

export type LimitReason = "too-many-connections" | "too-many-bytes" | "too-slow";

export interface LimiterOptions {
  /** Connections that others have opened. */
  readonly maxAccepted: number;
  /** Received and not yet authenticated, or to be sent and not yet taken; of all connections, dialed ones too. */
  readonly maxBytes: number;
  /** Silence that is forgiven, and the time before the rate counts. */
  readonly graceMs: number;
  /** On average, of a frame that has not ended. */
  readonly minBytesPerSec: number;
  /** Read from all connections together; each may send `freeBytes` without counting. */
  readonly maxBytesPerSec: number;
  readonly freeBytes: number;
}

/** What may be read at once after a time in which little was. */
const BURST_MS = 250;
/** Between two sweeps; after more this process has stood still, and what peers have sent may be unread. */
const LATE_SWEEP_MS = 1_500;

export interface LimitedPeer {
  readonly host: string;
  /** Dialed peers owe nothing until they begin to answer. */
  readonly isAccepted: boolean;
  /** The connection is to be closed now; the slot is free already. */
  readonly onLimit: (reason: LimitReason) => void;
}

export class LimiterSlot {
  heldBytes = 0;
  receivedBytes = 0;
  lastByteMs: number;
  /** Still within its frame. */
  isReceiving = true;
  isAuthenticated = false;

  constructor(
    readonly peer: LimitedPeer,
    public openedMs: number,
  ) {
    this.lastByteMs = openedMs;
  }

  /** Its time stood still for so long. */
  forgive(ms: number, nowMs: number): void {
    this.openedMs = Math.min(nowMs, this.openedMs + ms);
    this.lastByteMs = Math.min(nowMs, this.lastByteMs + ms);
  }
}

export class ExchangeLimiter {
  readonly #options: LimiterOptions;
  /** Bounded by maxAccepted and by the dials of the owner. */
  readonly #slots = new Set<LimiterSlot>();
  #accepted = 0;
  #heldBytes = 0;
  /** When everything read so far may have been read. */
  #readUntilMs = Number.NEGATIVE_INFINITY;
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(options: LimiterOptions) {
    this.#options = options;
  }

  /** Connections that others have opened. */
  get accepted(): number {
    return this.#accepted;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Makes room where there is none. */
  open(peer: LimitedPeer, nowMs: number): LimiterSlot {
    if (peer.isAccepted && this.#accepted >= this.#options.maxAccepted) {
      const victim = this.#mostDispensable(
        (slot) => slot.peer.isAccepted,
        () => 1,
      );
      if (victim !== null) this.#end(victim, "too-many-connections");
    }
    const slot = new LimiterSlot(peer, nowMs);
    this.#slots.add(slot);
    if (peer.isAccepted) this.#accepted++;
    return slot;
  }

  /** More of its frame; false when that ended the connection. */
  received(slot: LimiterSlot, bytes: number, nowMs: number): boolean {
    slot.receivedBytes += bytes;
    slot.lastByteMs = nowMs;
    const { maxBytesPerSec, freeBytes } = this.#options;
    if (slot.receivedBytes > freeBytes)
      this.#readUntilMs = Math.max(this.#readUntilMs, nowMs - BURST_MS) + (bytes / maxBytesPerSec) * 1_000;
    return this.#hold(slot, bytes);
  }

  /** How long nothing more is to be read from it: all of them together send too fast. */
  pauseMs({ receivedBytes }: LimiterSlot, nowMs: number): number {
    return receivedBytes > this.#options.freeBytes ? Math.max(0, this.#readUntilMs - nowMs) : 0;
  }

  /** Its frame is whole: what it held is free, `answerBytes` are on their way to it. */
  answering(slot: LimiterSlot, answerBytes: number, isAuthenticated: boolean, nowMs: number): boolean {
    slot.isReceiving = false;
    slot.isAuthenticated = isAuthenticated;
    slot.lastByteMs = nowMs;
    return this.#hold(slot, answerBytes - slot.heldBytes);
  }

  close(slot: LimiterSlot): void {
    if (!this.#slots.delete(slot)) return;
    if (slot.peer.isAccepted) this.#accepted--;
    this.#heldBytes -= slot.heldBytes;
  }

  /** Ends what has become too slow; to be called once or twice a second. */
  sweep(nowMs: number): void {
    const sinceMs = nowMs - this.#sweptMs;
    this.#sweptMs = nowMs;
    if (sinceMs > LATE_SWEEP_MS && Number.isFinite(sinceMs))
      for (const slot of this.#slots) slot.forgive(sinceMs, nowMs);
    for (const slot of [...this.#slots]) if (this.#isTooSlow(slot, nowMs)) this.#end(slot, "too-slow");
  }

  #isTooSlow(
    { peer, isReceiving, receivedBytes, openedMs, lastByteMs }: LimiterSlot,
    nowMs: number,
  ): boolean {
    if (!isReceiving || (!peer.isAccepted && receivedBytes === 0)) return false;
    const { graceMs, minBytesPerSec } = this.#options;
    if (nowMs - Math.max(lastByteMs, this.#readUntilMs) > graceMs) return true;
    return receivedBytes < ((nowMs - openedMs - graceMs) / 1_000) * minBytesPerSec;
  }

  #hold(slot: LimiterSlot, bytes: number): boolean {
    if (!this.#slots.has(slot)) return false;
    slot.heldBytes += bytes;
    this.#heldBytes += bytes;
    while (this.#heldBytes > this.#options.maxBytes) {
      const victim = this.#mostDispensable(
        ({ heldBytes }) => heldBytes > 0,
        ({ heldBytes }) => heldBytes,
      );
      if (victim === null) break;
      this.#end(victim, "too-many-bytes");
    }
    return this.#slots.has(slot);
  }

  /** Not authenticated before authenticated, then of the address that weighs most, then silent for longest. */
  #mostDispensable(
    isCandidate: (slot: LimiterSlot) => boolean,
    weightOf: (slot: LimiterSlot) => number,
  ): LimiterSlot | null {
    const all = [...this.#slots].filter(isCandidate);
    const strangers = all.filter(({ isAuthenticated }) => !isAuthenticated);
    const candidates = strangers.length > 0 ? strangers : all;
    const weights = new Map<string, number>();
    for (const slot of candidates)
      weights.set(slot.peer.host, (weights.get(slot.peer.host) ?? 0) + weightOf(slot));
    const heaviest = Math.max(...weights.values());
    let victim: LimiterSlot | null = null;
    for (const slot of candidates) {
      if (weights.get(slot.peer.host) !== heaviest) continue;
      if (victim === null || slot.lastByteMs < victim.lastByteMs) victim = slot;
    }
    return victim;
  }

  #end(slot: LimiterSlot, reason: LimitReason): void {
    this.close(slot);
    slot.peer.onLimit(reason);
  }
}
