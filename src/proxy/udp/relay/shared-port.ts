/**
 * The relay's UDP port where the node itself has a socket, for gossip or for echoes: which datagram is whose.
 *
 * The node's socket comes first, the workers' follow. What an entry node sends to a relay is known by its head
 * (wire/relay/datagram.ts) and goes to the worker that its relay id picks, so a relay stays with its worker; all else is the
 * node's. Other datagrams that look the same there:
 *
 *     gossip, sealed    1, 12 random bytes: a HELLO only if two of them are its length as well, once in 10 million
 *     gossip, plain     type, then no byte as small as a version, but in a compound: 7, which no entry node sends
 *     user messages     8, type of the message: 10 and above, or a serf one, which go on with a map where DATA has zeros
 *     echoes            1 or 2, 1, a size: larger than the datagram, where the length of a HELLO is smaller
 *
 * A datagram that is mistaken is dropped as malformed, as if it had been lost.
 */
import { ProgramWriter } from "../../../wire/classic-bpf.ts";
import {
  COUNT_AT,
  RELAY_CLEAR,
  RELAY_CLOSE,
  RELAY_CONFIRM,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_HELLO_BYTES,
  RELAY_ID_AT,
  RELAY_OPEN,
  RELAY_PART,
  RELAY_PING,
  RELAY_PROBE,
  RELAY_PROBED,
} from "../../../wire/index.ts";

const TYPE_AT = 0;
const VERSION_AT = 1;
/** Of the node's own socket among those that share the port. */
const NODE_SOCKET = 0;
const FIRST_WORKER_SOCKET = 1;

/** For setPicker: the node's socket, or that of one of the workers. */
export function sharedPortPicker(workers: number): Uint8Array {
  return new ProgramWriter()
    .loadByte(VERSION_AT)
    .ifAnyEqual([RELAY_CLEAR, RELAY_ENCRYPTED], "version", "node")
    .label("version")
    .loadByte(TYPE_AT)
    .ifEqual(RELAY_HELLO, "hello")
    .ifAnyEqual([RELAY_DATA, RELAY_CLOSE, RELAY_PING, RELAY_PROBE, RELAY_PROBED], "no header", "other")
    .label("other")
    .ifAnyEqual([RELAY_OPEN, RELAY_CONFIRM, RELAY_PART], "relay", "node")
    .label("hello")
    .loadHalf(COUNT_AT)
    .add(RELAY_HELLO_BYTES)
    .keep()
    .loadLength()
    .ifKept("relay")
    .goTo("node")
    .label("no header")
    .loadHalf(COUNT_AT)
    .unlessEqual(0, "node")
    .label("relay")
    .loadWord(RELAY_ID_AT)
    .remainder(workers)
    .add(FIRST_WORKER_SOCKET)
    .returnLoaded()
    .label("node")
    .return(NODE_SOCKET)
    .finish();
}
