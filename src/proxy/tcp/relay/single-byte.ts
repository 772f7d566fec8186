/** Single-byte messages on a relay connection: answers and heartbeats, in clear or each in a sealed record. */
import { EAGAIN, ECONNRESET, EPROTO } from "../../../sys/errno.ts";
import { MSG_PEEK } from "../../../sys/socket.ts";
import { RECORD_OVERHEAD_BYTES, RECORD_STREAM, type RecordKeys, recordLength } from "../../../wire/index.ts";
import type { TcpContext } from "../tcp-context.ts";

const RECORD_BYTES = 1 + RECORD_OVERHEAD_BYTES;

/** 0 or -errno; -EAGAIN also for a partial send, which does not happen on a socket with an empty send buffer. */
export function sendByte(context: TcpContext, fd: number, keys: RecordKeys | null, byte: number): number {
  const { memory, headerAt, plainAt, sockets } = context;
  const { bytes } = memory;
  bytes[keys === null ? headerAt : plainAt] = byte;
  const length = keys === null ? 1 : keys.sealer.seal(RECORD_STREAM, bytes, plainAt, 1, bytes, headerAt);
  const sent = sockets.send(fd, memory.address(headerAt), length);
  if (sent < 0) return sent;
  return sent === length ? 0 : -EAGAIN;
}

/** Takes exactly one byte or one record: the bytes behind it are the task's. -errno: none has arrived. */
export function receiveByte(
  context: TcpContext,
  fd: number,
  keys: RecordKeys | null,
  hasEnded: boolean,
): number {
  const { memory, headerAt, sockets } = context;
  if (keys !== null) return receiveRecord(context, fd, keys, hasEnded);
  const count = sockets.recv(fd, memory.address(headerAt), 1, 0);
  if (count <= 0) return count === 0 ? -ECONNRESET : count;
  return memory.bytes[headerAt]!;
}

function receiveRecord(context: TcpContext, fd: number, { opener }: RecordKeys, hasEnded: boolean): number {
  const { memory, headerAt, plainAt, sockets } = context;
  const { bytes } = memory;
  const peeked = sockets.recv(fd, memory.address(headerAt), RECORD_BYTES, MSG_PEEK);
  if (peeked <= 0) return peeked === 0 ? -ECONNRESET : peeked;
  const length = recordLength(bytes, headerAt, peeked);
  if (length !== 0 && length !== RECORD_BYTES) return -EPROTO;
  if (peeked < RECORD_BYTES) return hasEnded ? -ECONNRESET : -EAGAIN;
  sockets.recv(fd, memory.address(headerAt), RECORD_BYTES, 0);
  return opener.open(bytes, headerAt, length, bytes, plainAt) ? bytes[plainAt]! : -EPROTO;
}
