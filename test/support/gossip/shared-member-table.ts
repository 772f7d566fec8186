/**
 * Member tables of a cluster in which everybody knows everybody, without a record for each pair: the records are shared
 * until one of them is asked for by name, which is how they are changed; then it is copied. So 10,000 members fit.
 *
 * The order of probes is a permutation of its own for each member, n ↦ start + n × stride, again without memory.
 */
import { MemberRecord } from "../../../src/membership/member.ts";
import { MemberTable } from "../../../src/membership/member-table.ts";

const MAX_DRAWS = 64;

/** What all know; nobody changes it. */
export class SharedMembers {
  readonly indexOf: ReadonlyMap<string, number>;

  constructor(readonly records: readonly MemberRecord[]) {
    this.indexOf = new Map(records.map(({ name }, index) => [name, index]));
  }
}

export class SharedMemberTable extends MemberTable {
  readonly #shared: SharedMembers;
  readonly #own = new Map<string, MemberRecord>();
  readonly #removed = new Set<string>();
  #start = 0;
  #stride = 1;
  #place = 0;

  constructor(self: string, shared: SharedMembers, random: () => number) {
    super(self, shared.records.length, random);
    this.#shared = shared;
    this.#shuffleRound();
  }

  override get size(): number {
    return this.#shared.records.length - this.#removed.size;
  }

  override get isFull(): boolean {
    return false;
  }

  override get(name: string): MemberRecord | undefined {
    const own = this.#own.get(name);
    if (own !== undefined || this.#removed.has(name)) return own;
    const index = this.#shared.indexOf.get(name);
    if (index === undefined) return undefined;
    const copy = copyOf(this.#shared.records[index]!);
    this.#own.set(name, copy);
    return copy;
  }

  override *values(): Generator<MemberRecord> {
    for (let index = 0; index < this.#shared.records.length; index++) {
      const record = this.#at(index);
      if (record !== null) yield record;
    }
  }

  override insert(record: MemberRecord): void {
    if (!this.#shared.indexOf.has(record.name)) throw new Error(`${record.name} is not of this cluster`);
    this.#removed.delete(record.name);
    this.#own.set(record.name, record);
  }

  override remove(name: string): void {
    const own = this.#own.get(name);
    if (own !== undefined) own.suspicion = null;
    this.#own.delete(name);
    this.#removed.add(name);
  }

  override nextToProbe(onRound: () => void): MemberRecord | null {
    const { length } = this.#shared.records;
    for (let looked = 0; looked <= length; looked++) {
      if (this.#place >= length) {
        onRound();
        this.#shuffleRound();
      }
      const record = this.#at((this.#start + this.#place++ * this.#stride) % length);
      if (record?.isLive && record.name !== this.self) return record;
    }
    return null;
  }

  override pick(count: number, isWanted: (record: MemberRecord) => boolean): MemberRecord[] {
    const picked: MemberRecord[] = [];
    for (let draw = 0; draw < MAX_DRAWS && picked.length < count; draw++) {
      const record = this.#at(Math.floor(this.random() * this.#shared.records.length));
      if (record !== null && !picked.includes(record) && isWanted(record)) picked.push(record);
    }
    return picked;
  }

  #at(index: number): MemberRecord | null {
    const shared = this.#shared.records[index]!;
    const own = this.#own.get(shared.name);
    if (own !== undefined) return own;
    return this.#removed.has(shared.name) ? null : shared;
  }

  #shuffleRound(): void {
    const { length } = this.#shared.records;
    this.#place = 0;
    this.#start = Math.floor(this.random() * length);
    do this.#stride = 1 + Math.floor(this.random() * length);
    while (greatestCommonDivisor(this.#stride, length) !== 1);
  }
}

function copyOf(record: MemberRecord): MemberRecord {
  const { name, address, meta, versions, stateChangedMs } = record;
  const copy = new MemberRecord(name, address, meta, versions, stateChangedMs, record.tags);
  copy.incarnation = record.incarnation;
  copy.state = record.state;
  return copy;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
