/**
 * Keeps the addresses of tasks given by name current. Every name is asked again on its own schedule; a change
 * of its answer is announced once. While the name servers do not answer the last answer stays in use; a name that no
 * longer exists has no addresses.
 *
 * Bounded by the names of the configuration: `keep` forgets all others.
 */
import type { Clock } from "../sys/clock.ts";
import type { HostAnswer, LookupHost } from "../sys/lookup-host.ts";

const REFRESH_MS = 5_000; // how long a task that moved may go unnoticed
const RETRY_MS = 1_000; // while a name fails

export interface NameStatus {
  readonly host: string;
  readonly addresses: readonly string[];
  /** null: the last resolution succeeded, or none has ended yet. */
  readonly error: string | null;
  /** When it began to fail, ms since 1970. */
  readonly failingSince: number | null;
  /** When a name server last said what its addresses are, or that there are none, ms since 1970; null: not yet. */
  readonly answeredAt: number | null;
}

export interface ResolverOptions {
  readonly lookup: LookupHost;
  readonly clock: Clock;
  /** A name has other addresses than before, or its error came, changed or went. */
  readonly onChange: (status: NameStatus) => void;
}

interface Name {
  status: NameStatus;
  isAnswered: boolean;
  cancelTimer: () => void;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #names = new Map<string, Name>();
  #waiters: (() => void)[] = [];

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** From now on exactly these names are kept resolved; [] stops everything. */
  keep(hosts: readonly string[]): void {
    const wanted = new Set(hosts);
    for (const [host, name] of this.#names) {
      if (wanted.has(host)) continue;
      name.cancelTimer();
      this.#names.delete(host);
    }
    for (const host of wanted) {
      if (!this.#names.has(host)) this.#begin(host);
    }
  }

  /** Resolves when every kept name has had a first answer, good or bad, or after `timeoutMs`. */
  async allAnswered(timeoutMs: number): Promise<void> {
    if (this.#areAllAnswered() || timeoutMs === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(timeoutMs, resolve);
      this.#waiters.push(() => {
        cancel();
        resolve();
      });
    });
  }

  addressesOf(host: string): readonly string[] {
    return this.#names.get(host)?.status.addresses ?? [];
  }

  status(): NameStatus[] {
    return [...this.#names.values()].map((name) => name.status);
  }

  #begin(host: string): void {
    const status: NameStatus = { host, addresses: [], error: null, failingSince: null, answeredAt: null };
    const name: Name = { status, isAnswered: false, cancelTimer: () => undefined };
    this.#names.set(host, name);
    void this.#ask(name);
  }

  async #ask(name: Name): Promise<void> {
    const { lookup, clock, onChange } = this.#options;
    const answer = await lookup(name.status.host);
    if (this.#names.get(name.status.host) !== name) return; // no longer wanted
    const before = name.status;
    name.status = this.#statusAfter(before, answer);
    name.isAnswered = true;
    name.cancelTimer = clock.after(
      name.status.error === null ? REFRESH_MS : RETRY_MS,
      () => void this.#ask(name),
    );
    if (!isSame(before, name.status)) onChange(name.status);
    if (this.#areAllAnswered()) for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #statusAfter(before: NameStatus, answer: HostAnswer): NameStatus {
    const nowMs = this.#options.clock.nowMs();
    const { host } = before;
    if (!("error" in answer))
      return { host, addresses: answer.addresses, error: null, failingSince: null, answeredAt: nowMs };
    const failing = { error: answer.error, failingSince: before.failingSince ?? nowMs };
    return answer.isAnswered
      ? { host, addresses: [], ...failing, answeredAt: nowMs }
      : { ...before, ...failing };
  }

  #areAllAnswered(): boolean {
    return [...this.#names.values()].every((name) => name.isAnswered);
  }
}

function isSame(a: NameStatus, b: NameStatus): boolean {
  return a.error === b.error && a.addresses.join() === b.addresses.join();
}
