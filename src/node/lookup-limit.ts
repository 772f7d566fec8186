/**
 * Lookups share a pool of threads with file access, and one without an answer holds its thread for 10 s and more. So
 * they are limited in number, those that were slow the last time have a share of their own, and new ones are started
 * a few at a time: a name that can be resolved never waits for those that cannot.
 */
import type { Clock } from "../sys/clock.ts";
import type { HostAnswer, LookupHost } from "../sys/lookup-host.ts";
import { POOL_THREADS } from "../sys/thread-pool.ts";

/** A lookup under way for longer no longer holds up the next. */
const SLOW_MS = 250;
/** Many at once would be lost at the name server. */
const MAX_YOUNG = 16;
/** The rest of the pool is for files. */
const MAX_LOOKUPS = POOL_THREADS - 16;
/** Names that were slow the last time. */
const MAX_SLOW_NAMES = 64;

const MAX_REMEMBERED = 10_000;

interface Request {
  readonly host: string;
  readonly resolve: (answer: HostAnswer) => void;
}

export class LookupLimit {
  readonly #ask: LookupHost;
  readonly #clock: Clock;
  /** That took long the last time. Bounded by MAX_REMEMBERED. */
  readonly #slowHosts = new Set<string>();
  readonly #quick: Request[] = [];
  readonly #slow: Request[] = [];
  #lookups = 0;
  #young = 0;
  #slowNames = 0;

  constructor(ask: LookupHost, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  readonly lookup: LookupHost = (host) =>
    new Promise((resolve) => {
      (this.#slowHosts.has(host) ? this.#slow : this.#quick).push({ host, resolve });
      this.#startNext();
    });

  #startNext(): void {
    while (this.#young < MAX_YOUNG && this.#lookups < MAX_LOOKUPS) {
      const quick = this.#quick.shift();
      if (quick !== undefined) {
        void this.#run(quick);
        continue;
      }
      const slow = this.#slowNames < MAX_SLOW_NAMES ? this.#slow.shift() : undefined;
      if (slow === undefined) return;
      this.#slowNames++;
      void this.#run(slow).then(() => {
        this.#slowNames--;
        this.#startNext();
      });
    }
  }

  async #run({ host, resolve }: Request): Promise<void> {
    let isYoung = true;
    const growOld = () => {
      if (!isYoung) return;
      isYoung = false;
      this.#young--;
      this.#startNext();
    };
    this.#lookups++;
    this.#young++;
    const cancel = this.#clock.after(SLOW_MS, growOld);
    const answer = await this.#ask(host);
    cancel();
    if (isYoung) this.#slowHosts.delete(host);
    else this.#remember(host);
    this.#lookups--;
    growOld();
    this.#startNext();
    resolve(answer);
  }

  #remember(host: string): void {
    if (this.#slowHosts.size === MAX_REMEMBERED) this.#slowHosts.clear();
    this.#slowHosts.add(host);
  }
}
