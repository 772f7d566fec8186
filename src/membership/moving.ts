/**
 * Announces a new address of this node to every member: goodbye and a sign of life in one packet, straight to
 * each. Gossip alone is not enough: a member that hears only of the new address takes it for a second member
 * of that name. Packets get lost, a new address may need a moment to work, and memberlist handles a sign of life before
 * a goodbye: so all of it is said again, ever more rarely. Repeated packets are older than what is known, and do nothing.
 */

/** After the move, in ms. */
const AT_MS = [0, 200, 500, 1_000, 2_000, 4_000, 8_000, 16_000] as const;

export class Moving {
  readonly #sendToAll: (messages: readonly Uint8Array[]) => void;
  #messages: readonly Uint8Array[] = [];
  #beganMs = 0;
  /** Of AT_MS. */
  #next: number = AT_MS.length;

  constructor(sendToAll: (messages: readonly Uint8Array[]) => void) {
    this.#sendToAll = sendToAll;
  }

  get nextDeadlineMs(): number {
    const atMs = AT_MS[this.#next];
    return atMs === undefined ? Number.POSITIVE_INFINITY : this.#beganMs + atMs;
  }

  /** Another move before is forgotten. */
  begin(messages: readonly Uint8Array[], nowMs: number): void {
    this.#messages = messages;
    this.#beganMs = nowMs;
    this.#next = 0;
  }

  tick(nowMs: number): void {
    if (nowMs < this.nextDeadlineMs) return;
    this.#next++;
    this.#sendToAll(this.#messages);
  }
}
