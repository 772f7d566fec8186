/**
 * Datagrams that came in parts (wire/relay/part.ts), put together in the worker's memory. Only authentic parts get here,
 * each once. A datagram of which parts are lost waits until its place is needed.
 *
 * What has been put together stays where it is until two batches of others have been: until what is at hand has been
 * sent. Bounded: a few MiB, of which only what was used takes memory.
 */
import type { Arena } from "../../../sys/arena.ts";
import { DATAGRAM_MAX } from "../../../sys/mmsg.ts";
import { decodeRelayPart, PART_HEAD_BYTES, type RelayDatagram, RelayPart } from "../../../wire/index.ts";
import type { RelayChannel } from "./relay-channel.ts";
import { PREFIX_BYTES } from "./relay-send-batch.ts";

const PLACE_BYTES = PREFIX_BYTES + DATAGRAM_MAX;
/** Both batches of a worker may end with datagrams that have been put together here. */
const PLACES_PER_SLOT = 3;

interface Place {
  readonly at: number;
  /** null: nothing waits here. */
  channel: RelayChannel | null;
  number: number;
  count: number;
  total: number;
  headerLength: number;
  missing: number;
  /** Of data that has come. */
  bytes: number;
  /** By index: 1 has come. */
  readonly come: Uint8Array;
  usedAt: number;
}

/** Bytes of a worker's memory; untouched ones cost nothing. */
export function partAssemblyBytes(batchSize: number): number {
  return PLACES_PER_SLOT * batchSize * (PLACE_BYTES + 64);
}

export class PartAssembly {
  readonly #part = new RelayPart();
  readonly #places: readonly Place[];
  #uses = 0;

  constructor(
    readonly memory: Arena,
    batchSize: number,
  ) {
    this.#places = Array.from({ length: PLACES_PER_SLOT * batchSize }, () => ({
      at: memory.take(PLACE_BYTES),
      channel: null,
      number: 0,
      count: 0,
      total: 0,
      headerLength: 0,
      missing: 0,
      bytes: 0,
      come: new Uint8Array(64),
      usedAt: 0,
    }));
  }

  /** Takes an opened PART; true: it was the last one, and `datagram` is the OPEN or DATA now. */
  add(channel: RelayChannel, datagram: RelayDatagram): boolean {
    const { bytes } = this.memory;
    const part = this.#part;
    if (!decodeRelayPart(bytes, datagram, part)) return false;
    const place = this.#placeOf(channel, datagram.session);
    const { headerAt, headerLength, dataAt, dataLength } = datagram;
    if (place.count !== part.count || place.total !== part.total || place.come[part.index] === 1)
      return false;
    if (headerLength > PREFIX_BYTES) return false;
    place.come[part.index] = 1;
    place.missing--;
    place.bytes += dataLength;
    if (part.index === 0) {
      place.headerLength = headerLength - PART_HEAD_BYTES;
      bytes.copyWithin(place.at, headerAt + PART_HEAD_BYTES, headerAt + headerLength);
    }
    bytes.copyWithin(place.at + PREFIX_BYTES + part.offset, dataAt, dataAt + dataLength);
    if (place.missing > 0 || place.bytes !== place.total) return false;
    place.channel = null;
    datagram.type = part.type;
    datagram.session = part.session;
    datagram.headerAt = place.at;
    datagram.headerLength = place.headerLength;
    datagram.dataAt = place.at + PREFIX_BYTES;
    datagram.dataLength = place.total;
    return true;
  }

  /** The one that its other parts are in, or the one unused for longest. */
  #placeOf(channel: RelayChannel, number: number): Place {
    let oldest = this.#places[0]!;
    for (const place of this.#places) {
      if (place.channel === channel && place.number === number) return this.#use(place);
      if (place.usedAt < oldest.usedAt) oldest = place;
    }
    const { count, total } = this.#part;
    oldest.channel = channel;
    oldest.number = number;
    oldest.count = oldest.missing = count;
    oldest.total = total;
    oldest.headerLength = oldest.bytes = 0;
    oldest.come.fill(0);
    return this.#use(oldest);
  }

  #use(place: Place): Place {
    place.usedAt = ++this.#uses;
    return place;
  }
}
