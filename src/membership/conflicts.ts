/**
 * Two members of one name, or one that has moved: gossip may bring its new address before its own goodbye, which is sent
 * more than once. So a conflict is reported only when it still stands after the goodbye should have arrived.
 */
import { type Address, isSameAddress } from "./address.ts";
import type { Effects } from "./effect.ts";
import type { MemberTable } from "./member-table.ts";

/** Several of a moved member's announcements (moving.ts). */
const STANDS_AFTER_MS = 3_000;

interface Noted {
  readonly known: Address;
  readonly other: Address;
  readonly dueMs: number;
}

export class Conflicts {
  readonly #table: MemberTable;
  readonly #effects: Effects;
  /** By name, the oldest first; bounded by the members. */
  readonly #noted = new Map<string, Noted>();

  constructor(table: MemberTable, effects: Effects) {
    this.#table = table;
    this.#effects = effects;
  }

  get nextDeadlineMs(): number {
    const [first] = this.#noted.values();
    return first?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** @param known where the live member is, as far as this one knows */
  note(name: string, known: Address, other: Address, nowMs: number): void {
    if (this.#noted.has(name)) return;
    this.#noted.set(name, { known, other, dueMs: nowMs + STANDS_AFTER_MS });
  }

  tick(nowMs: number): void {
    for (const [name, { known, other, dueMs }] of this.#noted) {
      if (nowMs < dueMs) return;
      this.#noted.delete(name);
      const member = this.#table.get(name);
      const stands = member?.isLive === true && isSameAddress(member.address, known);
      if (stands) this.#effects.notify({ type: "conflict", name, known, other });
    }
  }
}
