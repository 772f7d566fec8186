/**
 * The demo's UDP task: a minimal name server [RFC 1035 §4.1]. For every name, A is 127.0.0.1, AAAA is ::1 and TXT names
 * the task; other types have no data. It answers queries with exactly one question and echoes every other datagram.
 *
 *     0      2       4         6        8        10       12
 *     | id   | flags | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT | QNAME ... QTYPE QCLASS | records
 */

const HEADER_BYTES = 12;
const RESPONSE_AUTHORITATIVE = 0x8400; // QR, AA; opcode QUERY, no error
const OPCODE_AND_QR = 0xf800;
const RECURSION_DESIRED = 0x0100;
const NAME_OF_QUESTION = 0xc000 | HEADER_BYTES; // compression pointer [RFC 1035 §4.1.4]
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
const TYPE_A = 1;
const TYPE_TXT = 16;
const TYPE_AAAA = 28;
const CLASS_IN = 1;

/** @param name the task's name, in TXT answers */
export async function startDnsTask(name: string, hostname = "127.0.0.1"): Promise<{ port: number }> {
  const { port } = await Bun.udpSocket({
    hostname,
    port: 0,
    socket: {
      data(socket, datagram, clientPort, clientAddress) {
        socket.send(answerDns(datagram, name) ?? datagram, clientPort, clientAddress);
      },
      error: () => undefined, // ICMP port unreachable: a client has closed its port
    },
  });
  return { port };
}

/** The response, or null when `query` is not a DNS query. */
export function answerDns(query: Uint8Array, task: string): Uint8Array | null {
  if (query.length < HEADER_BYTES) return null;
  const view = new DataView(query.buffer, query.byteOffset, query.byteLength);
  const flags = view.getUint16(2);
  const isQuery = (flags & OPCODE_AND_QR) === 0 && view.getUint16(4) === 1 && view.getUint16(6) === 0;
  const nameEnd = isQuery ? findNameEnd(query) : null;
  if (nameEnd === null || nameEnd + 4 > query.length) return null;
  const record = recordOf(view.getUint16(nameEnd), task);
  const question = query.slice(0, nameEnd + 4);
  const header = new DataView(question.buffer);
  header.setUint16(2, RESPONSE_AUTHORITATIVE | (flags & RECURSION_DESIRED));
  header.setUint16(6, record === null ? 0 : 1);
  header.setUint32(8, 0);
  return record === null ? question : Buffer.concat([question, record]);
}

/** The index after the root label. */
function findNameEnd(query: Uint8Array): number | null {
  let at = HEADER_BYTES;
  while (at < query.length && at - HEADER_BYTES < MAX_NAME_BYTES) {
    const length = query[at]!;
    at += 1 + length;
    if (length === 0) return at;
    if (length > MAX_LABEL_BYTES) return null;
  }
  return null;
}

function recordOf(type: number, task: string): Uint8Array | null {
  const bytes = recordBytes(type, task);
  if (bytes === null) return null;
  const record = Buffer.alloc(12 + bytes.length); // pointer, type, class, TTL 0, length, data
  record.writeUInt16BE(NAME_OF_QUESTION, 0);
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(CLASS_IN, 4);
  record.writeUInt16BE(bytes.length, 10);
  record.set(bytes, 12);
  return record;
}

function recordBytes(type: number, task: string): Uint8Array | null {
  if (type === TYPE_A) return Uint8Array.of(127, 0, 0, 1);
  if (type === TYPE_AAAA) return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  if (type !== TYPE_TXT) return null;
  const text = Buffer.from(`hello from ${task}`);
  return Buffer.concat([Uint8Array.of(text.length), text]);
}
