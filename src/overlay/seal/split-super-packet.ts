/**
 * One TCP super-packet -> several smaller ones, where a path loses too much for seals of its size. Each is what the
 * kernel would have made, had it cut the stream there: sequence numbers, lengths, checksums and flags are its own.
 *
 *     virtio header 10 │ IPv4 20…60 │ TCP 20…60 │ payload, gso size by gso size        [RFC 791, RFC 9293 §3.1, virtio 1.2 §5.1.6]
 *
 * It is done in place: the headers of each piece are written right before its payload, over the end of the piece
 * before, which has been given away by then.
 */

const VIRTIO_BYTES = 10;
const GSO_TYPE_AT = 1;
const GSO_SIZE_AT = 4;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_ECN = 0x80;

const TOTAL_LENGTH_AT = 2;
const IDENTIFICATION_AT = 4;
const IP_CHECKSUM_AT = 10;

const SEQUENCE_AT = 4;
const OFFSET_AT = 12;
const FLAGS_AT = 13;
const TCP_CHECKSUM_AT = 16;
const FIN_PSH = 0x09;
const CWR = 0x80;
const MAX_HEADERS_BYTES = VIRTIO_BYTES + 60 + 60;

export interface PacketMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Called for each piece while its bytes are valid. */
export type TakePiece = (at: number, length: number) => void;

export class SuperPacketSplitter {
  readonly #headers = new Uint8Array(MAX_HEADERS_BYTES);

  constructor(readonly memory: PacketMemory) {}

  /** Whether the packet at `at`, with its virtio header, is one that `split` can cut. */
  canSplit(at: number, length: number): boolean {
    const { bytes, view } = this.memory;
    if ((bytes[at + GSO_TYPE_AT]! & ~GSO_ECN) !== GSO_TCPV4 || length < VIRTIO_BYTES + 40) return false;
    return bytes[at + VIRTIO_BYTES + 9] === 6 && view.getUint16(at + GSO_SIZE_AT, true) > 0;
  }

  /** Segments of a piece of at most `maxBytes` with all its headers; at least one. */
  segmentsIn(at: number, maxBytes: number): number {
    const gsoSize = this.memory.view.getUint16(at + GSO_SIZE_AT, true);
    return Math.max(1, Math.floor((maxBytes - this.#headersLength(at)) / gsoSize));
  }

  /** Gives away pieces of so many segments each; the bytes are spoilt after that. */
  split(at: number, length: number, segments: number, take: TakePiece): void {
    const { bytes, view } = this.memory;
    const headersLength = this.#headersLength(at);
    const gsoSize = view.getUint16(at + GSO_SIZE_AT, true);
    this.#headers.set(bytes.subarray(at, at + headersLength));
    const payload = length - headersLength;
    const pieceBytes = segments * gsoSize;
    for (let done = 0; done < payload; done += pieceBytes) {
      const count = Math.min(pieceBytes, payload - done);
      const pieceAt = at + done;
      if (done > 0) bytes.set(this.#headers.subarray(0, headersLength), pieceAt);
      this.#rewrite(pieceAt, headersLength, done, count, gsoSize, done + count === payload);
      take(pieceAt, headersLength + count);
    }
  }

  #rewrite(
    at: number,
    headersLength: number,
    done: number,
    count: number,
    gsoSize: number,
    isLast: boolean,
  ): void {
    const { bytes, view } = this.memory;
    const ipAt = at + VIRTIO_BYTES;
    const tcpAt = ipAt + (bytes[ipAt]! & 0x0f) * 4;
    const tcpLength = headersLength - (tcpAt - at) + count;
    const before = view.getUint16(ipAt + TOTAL_LENGTH_AT) - (tcpAt - ipAt);
    if (count <= gsoSize) {
      bytes[at + GSO_TYPE_AT] = GSO_NONE;
      view.setUint16(at + GSO_SIZE_AT, 0, true);
    }
    view.setUint16(ipAt + TOTAL_LENGTH_AT, tcpAt - ipAt + tcpLength);
    const identification = view.getUint16(ipAt + IDENTIFICATION_AT) + Math.floor(done / gsoSize);
    view.setUint16(ipAt + IDENTIFICATION_AT, identification & 0xffff);
    view.setUint16(ipAt + IP_CHECKSUM_AT, 0);
    view.setUint16(ipAt + IP_CHECKSUM_AT, ~onesSum(view, ipAt, tcpAt - ipAt) & 0xffff);
    view.setUint32(tcpAt + SEQUENCE_AT, (view.getUint32(tcpAt + SEQUENCE_AT) + done) >>> 0);
    if (!isLast) bytes[tcpAt + FLAGS_AT]! &= ~FIN_PSH;
    if (done > 0) bytes[tcpAt + FLAGS_AT]! &= ~CWR;
    // the kernel left the sum of the pseudo-header there, of which only the length is another
    const sum = view.getUint16(tcpAt + TCP_CHECKSUM_AT) + (~before & 0xffff) + tcpLength;
    view.setUint16(tcpAt + TCP_CHECKSUM_AT, fold(sum));
  }

  #headersLength(at: number): number {
    const { bytes } = this.memory;
    const ipAt = at + VIRTIO_BYTES;
    const tcpAt = ipAt + (bytes[ipAt]! & 0x0f) * 4;
    return tcpAt - at + (bytes[tcpAt + OFFSET_AT]! >> 4) * 4;
  }
}

/** One's complement sum of 16-bit words [RFC 1071]; the length is even. */
function onesSum(view: DataView, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += view.getUint16(at + i);
  return fold(sum);
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
