/**
 * The keys that seals of one peer may come under: for each secret of the pair the one in use, the one before it, whose
 * last seals may still be on their way, and the next ones. The first seal under a later key moves all of them on.
 *
 * A sender moves on only while it sends, a key at a time, and not further than KEYS_AHEAD while it is not answered
 * (sending-key.ts): who heard nothing of it for hours still understands it.
 */
import { ReplayWindow } from "../../wire/index.ts";
import { type EpochKey, EpochKeys, KEYS_AHEAD } from "./epoch-keys.ts";

const BEHIND = 1;

export class ReceivingKey {
  /** Counter of the newest seal that was opened: so many have been sent. */
  newest = 0;
  /** Seals that were opened. */
  opened = 0;
  readonly #window = new ReplayWindow();

  constructor(
    readonly chain: ReceivingChain,
    readonly epochKey: EpochKey,
  ) {}

  /** Whether a seal with that counter could still be taken. */
  isNew(counter: number): boolean {
    return this.#window.isNew(counter);
  }

  /** The seal has proved authentic; false: it was opened before. */
  take(counter: number): boolean {
    if (this.#window.take(counter) !== "new") return false;
    this.newest = Math.max(this.newest, counter);
    this.opened++;
    return true;
  }
}

/** The keys of one secret. */
export class ReceivingChain {
  readonly #keys: EpochKeys;
  /** In order; never more than BEHIND + 1 + KEYS_AHEAD. */
  #ready: readonly ReceivingKey[] = [];
  #current = 0;

  constructor(secret: string, from: string, to: string) {
    this.#keys = new EpochKeys(secret, from, to);
    this.#fill();
  }

  get ready(): readonly ReceivingKey[] {
    return this.#ready;
  }

  /** A seal has proved authentic under this key. Returns the keys that are no longer ready; null: no change. */
  onAuthentic({ epochKey }: ReceivingKey): readonly ReceivingKey[] | null {
    if (epochKey.epoch <= this.#current) return null;
    this.#current = epochKey.epoch;
    const isPast = (key: ReceivingKey) => key.epochKey.epoch < this.#current - BEHIND;
    const retired = this.#ready.filter(isPast);
    this.#ready = this.#ready.filter((key) => !isPast(key));
    this.#fill();
    return retired;
  }

  #fill(): void {
    const ready = [...this.#ready];
    while ((ready.at(-1)?.epochKey.epoch ?? -1) < this.#current + KEYS_AHEAD)
      ready.push(new ReceivingKey(this, this.#keys.next()));
    this.#ready = ready;
  }
}
