/**
 * Seals whose datagrams come one by one, in any order and mixed with others'. A place holds one seal until it is whole.
 *
 * Bounded: so many places for each peer, the oldest makes room; memory is touched once a place is used. Only datagrams
 * under a key of the peer, from its address, get here.
 */
import { MAX_PARTS, MAX_SEAL_BYTES, type SealDatagram } from "../../wire/seal-datagram.ts";

/** More than reordering in a network brings about. */
export const PLACES = 16;
/** Of the memory that the places of one peer take. */
export const REASSEMBLY_BYTES = PLACES * placeBytes();

interface Place {
  readonly at: number;
  keyId: number;
  /** 0: free */
  counter: number;
  length: number;
  chunk: number;
  kind: number;
  count: number;
  have: number;
  /** Bit by part. */
  readonly parts: Uint32Array;
  /** Order of being taken. */
  age: number;
}

export class Reassembly {
  /** Parts of seals that were given up, and those of them that had come. */
  givenUpParts = 0;
  givenUpPartsCome = 0;
  /** Seals that were given up. */
  givenUpSeals = 0;
  readonly #places: Place[] = [];
  #ages = 0;

  /** @param memory holds the places  @param at REASSEMBLY_BYTES of it are this one's */
  constructor(
    readonly memory: Uint8Array,
    at: number,
  ) {
    for (let i = 0; i < PLACES; i++) this.#places.push(freePlace(at + i * placeBytes()));
  }

  /**
   * Takes the part at memory[partAt …) of a datagram that was decoded. The offset of the whole seal in `memory` when it
   * was the last one missing, valid until the next call; else -1.
   */
  add(datagram: SealDatagram, partAt: number, partLength: number): number {
    const place = this.#placeOf(datagram);
    if (place === null) return -1;
    const { index } = datagram;
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    if ((place.parts[word]! & bit) !== 0) return -1;
    place.parts[word]! |= bit;
    this.memory.copyWithin(place.at + index * place.chunk, partAt, partAt + partLength);
    if (++place.have < place.count) return -1;
    place.counter = 0;
    return place.at;
  }

  /** Seals that are begun and not whole. */
  get pending(): number {
    return this.#places.reduce((sum, { counter }) => sum + (counter === 0 ? 0 : 1), 0);
  }

  /** Seals under that key with counters below this one will not be whole any more. */
  giveUpOlder(keyId: number, counter: number): void {
    for (const place of this.#places)
      if (place.counter !== 0 && place.keyId === keyId && place.counter < counter) this.#giveUp(place);
  }

  /** null: what it says of its seal is not what others of that seal say. */
  #placeOf(datagram: SealDatagram): Place | null {
    const { keyId, counter, length, chunk, kind } = datagram;
    let oldest = this.#places[0]!;
    for (const place of this.#places) {
      if (place.counter === counter && place.keyId === keyId)
        return place.length === length && place.chunk === chunk && place.kind === kind ? place : null;
      if (place.counter === 0) {
        if (oldest.counter !== 0) oldest = place;
      } else if (oldest.counter !== 0 && place.age < oldest.age) oldest = place;
    }
    if (oldest.counter !== 0) this.#giveUp(oldest);
    return this.#take(oldest, datagram);
  }

  #take(place: Place, { keyId, counter, length, chunk, kind, count }: SealDatagram): Place {
    place.keyId = keyId;
    place.counter = counter;
    place.length = length;
    place.chunk = chunk;
    place.kind = kind;
    place.count = count;
    place.have = 0;
    place.parts.fill(0);
    place.age = this.#ages++;
    return place;
  }

  #giveUp(place: Place): void {
    this.givenUpSeals++;
    this.givenUpParts += place.count;
    this.givenUpPartsCome += place.have;
    place.counter = 0;
  }
}

function freePlace(at: number): Place {
  const parts = new Uint32Array(MAX_PARTS / 32);
  return { at, keyId: 0, counter: 0, length: 0, chunk: 0, kind: 0, count: 0, have: 0, parts, age: 0 };
}

/** Whole cache lines. */
function placeBytes(): number {
  return Math.ceil(MAX_SEAL_BYTES / 64) * 64;
}
