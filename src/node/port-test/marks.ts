/** Marks in datagrams that this node waits for, by the test that they belong to; all others mean nothing. */
import type { PortTestMessage } from "./message.ts";

type Mark = Extract<PortTestMessage, { type: "mark" }>;

export interface HeardMarks {
  /** Source addresses; null: none has come. */
  readonly fresh: string | null;
  readonly known: string | null;
}

const NONE: HeardMarks = { fresh: null, known: null };

export class Marks {
  /** By node and test; bounded by the tests under way. */
  readonly #heard = new Map<string, HeardMarks>();

  expect(from: string, run: string): void {
    this.#heard.set(keyOf(from, run), NONE);
  }

  forget(from: string, run: string): void {
    this.#heard.delete(keyOf(from, run));
  }

  /** @param host that it came from */
  onMark({ from, run, isFresh }: Mark, host: string): void {
    const heard = this.#heard.get(keyOf(from, run));
    if (heard === undefined) return;
    this.#heard.set(keyOf(from, run), { ...heard, [isFresh ? "fresh" : "known"]: host });
  }

  heard(from: string, run: string): HeardMarks {
    return this.#heard.get(keyOf(from, run)) ?? NONE;
  }
}

function keyOf(from: string, run: string): string {
  return `${run} ${from}`;
}
