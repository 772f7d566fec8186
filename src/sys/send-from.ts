/**
 * Sends datagrams one by one from a local address of the caller's choice, on a socket that is bound to all of them:
 * without it the system picks one. [ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO]
 */
import { Arena } from "./arena.ts";
import { CONTROL_MAX, LOCAL_WORDS_IPV6, writePacketInfo } from "./control-data.ts";
import { EMSGSIZE } from "./errno.ts";
import { DATAGRAM_MAX, SendBatch, sendBatchBytes } from "./mmsg.ts";
import { AF_INET, AF_INET6, writeSockaddr } from "./sockaddr.ts";

const ARENA_BYTES = DATAGRAM_MAX + sendBatchBytes(1) + CONTROL_MAX + 1024;

/** Of one thread, for one call at a time: every call is over when it returns. */
export class SourceAddressSender {
  readonly #arena = new Arena(ARENA_BYTES);
  readonly #batch = new SendBatch(this.#arena, 1, true);
  readonly #bytesAt = this.#arena.take(DATAGRAM_MAX);
  readonly #source = new Int32Array(new ArrayBuffer(4 * LOCAL_WORDS_IPV6));

  /**
   * 1, or -errno; -EINVAL and -EADDRNOTAVAIL where the machine does not have the address.
   * @param to, source 4 or 16 bytes both, of the socket's family
   */
  send(fd: number, bytes: Uint8Array, to: Uint8Array, port: number, source: Uint8Array): number {
    if (bytes.length > DATAGRAM_MAX) return -EMSGSIZE;
    const family = to.length === 4 ? AF_INET : AF_INET6;
    const batch = this.#batch;
    this.#arena.bytes.set(bytes, this.#bytesAt);
    this.#source.fill(0);
    new Uint8Array(this.#source.buffer).set(source);
    batch.clear();
    batch.add(this.#bytesAt, bytes.length, 0, 0, false);
    writeSockaddr(this.#arena.bytes, batch.nameAt(0), to, port);
    batch.setNameFamily(0, family);
    const length = writePacketInfo(this.#arena, batch.controlAt(0), family, this.#source, 0);
    batch.setControlLength(0, length);
    return batch.send(fd, 0, 1);
  }
}
