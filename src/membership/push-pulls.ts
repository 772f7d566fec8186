/** Push/pull exchanges of this member: those it starts, from time to time or to join, and those that others ask for. */
import type { PushPullReader } from "../wire/gossip/index.ts";
import type { Address } from "./address.ts";
import type { Effects } from "./effect.ts";
import type { Exchanges } from "./exchanges.ts";
import { pushPullFactor } from "./formulas.ts";
import type { MemberTable } from "./member-table.ts";
import { MergeQueue } from "./merge-queue.ts";
import type { Profile } from "./profile.ts";
import { SLICE_MEMBERS, type StateExchange } from "./state-exchange.ts";

export interface PushPullsHost {
  readonly profile: Profile;
  readonly self: string;
  readonly table: MemberTable;
  readonly exchanges: Exchanges;
  readonly state: StateExchange;
  readonly effects: Effects;
}

export class PushPulls {
  readonly #host: PushPullsHost;
  readonly #merges = new MergeQueue();
  /** Of the latest step, for what is merged in slices. */
  #nowMs: number;
  #nextMs: number;

  constructor(host: PushPullsHost, nowMs: number, firstMs: number) {
    this.#host = host;
    this.#nowMs = nowMs;
    this.#nextMs = firstMs;
  }

  get nextDeadlineMs(): number {
    return Math.min(this.#nextMs, this.#merges.nextDeadlineMs);
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (nowMs >= this.#nextMs) this.#startWithOne(nowMs);
    this.#merges.tick(nowMs);
  }

  start(to: Address, isJoin: boolean, nowMs: number): void {
    const { profile, exchanges, state, effects } = this.#host;
    const exchange = exchanges.begin({ kind: "push-pull", to, isJoin });
    const timeoutMs = profile.exchangeTimeoutMs;
    effects.add({ kind: "push-pull", exchange, to, request: state.encode(isJoin, nowMs), timeoutMs });
  }

  /** Another member's request. */
  answer(request: PushPullReader, nowMs: number): Uint8Array {
    const { state, effects } = this.#host;
    const answer = state.encode(request.isJoin, nowMs);
    this.merge(request, nowMs, null, (isMerged) => isMerged === null && effects.drop("malformed"));
    return answer;
  }

  /**
   * Small ones overtake: the order of exchanges means nothing, incarnations do.
   * @param onDone whether anything was believed; null: it was damaged
   */
  merge(
    reader: PushPullReader,
    nowMs: number,
    source: Address | null,
    onDone: (isMerged: boolean | null) => void,
  ): void {
    this.#nowMs = nowMs;
    const isSmall = reader.membersLeft <= SLICE_MEMBERS;
    const merge = { steps: this.#host.state.merge(reader, source, () => this.#nowMs), onDone };
    if (isSmall) return this.#merges.runAtOnce(merge);
    if (this.#merges.add(merge, nowMs)) return;
    this.#host.effects.drop("too-many-exchanges");
    onDone(false);
  }

  #startWithOne(nowMs: number): void {
    const { profile, self, table } = this.#host;
    this.#nextMs = nowMs + profile.pushPullIntervalMs * pushPullFactor(table.size);
    const [partner] = table.pick(1, ({ state, name }) => state === "alive" && name !== self);
    if (partner !== undefined) this.start(partner.address, false, nowMs);
  }
}
