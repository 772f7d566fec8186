/**
 * Seals whose datagrams come one by one, in any order and mixed with others'. A place holds one seal until it is whole.
 *
 * Bounded: PLACES for each peer, the oldest makes room; a place has memory once it is used. Only datagrams under a key
 * of the peer, from its address, get here.
 */
import { MAX_PARTS, MAX_SEAL_BYTES, type SealDatagram } from "../../wire/seal-datagram.ts";

/** More than reordering in a network brings about. */
export const PLACES = 16;

interface Place {
  /** null: never used. */
  memory: Uint8Array | null;
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
  /** What is younger was begun since `giveUpLate`. */
  #ageBefore = 0;

  constructor() {
    for (let i = 0; i < PLACES; i++) this.#places.push(freePlace());
  }

  /** Copies the part of a datagram that was decoded. The whole seal when it was the last one missing, until the next call. */
  add(datagram: SealDatagram, part: Uint8Array): Uint8Array | null {
    const place = this.#placeOf(datagram);
    if (place === null) return null;
    const { index } = datagram;
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    if ((place.parts[word]! & bit) !== 0) return null;
    place.parts[word]! |= bit;
    place.memory ??= new Uint8Array(MAX_SEAL_BYTES);
    place.memory.set(part, index * place.chunk);
    if (++place.have < place.count) return null;
    place.counter = 0;
    return place.memory.subarray(0, place.length);
  }

  /** Seals that are begun and not whole. */
  get pending(): number {
    return this.#places.reduce((sum, { counter }) => sum + (counter === 0 ? 0 : 1), 0);
  }

  /** Seals that were begun before the last call, and are not whole by now, are taken for lost. */
  giveUpLate(): void {
    for (const place of this.#places)
      if (place.counter !== 0 && place.age < this.#ageBefore) this.#giveUp(place);
    this.#ageBefore = this.#ages;
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

function freePlace(): Place {
  const parts = new Uint32Array(MAX_PARTS / 32);
  return {
    memory: null,
    keyId: 0,
    counter: 0,
    length: 0,
    chunk: 0,
    kind: 0,
    count: 0,
    have: 0,
    parts,
    age: 0,
  };
}
