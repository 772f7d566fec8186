/** ICMP that nobody has a reason to send: an error about a packet that the receiver is said to have sent. */
import { Arena } from "../../../src/sys/arena.ts";
import { check, errno } from "../../../src/sys/errno.ts";
import { libc } from "../../../src/sys/libc.ts";
import { AF_INET, AF_INET6, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { close, connect, send } from "../../../src/sys/socket.ts";
import { parseIp } from "../../../src/wire/index.ts";

const SOCK_RAW = 3;
const ICMP = 1;
const ICMPV6 = 58;
const UDP = 17;
const QUOTED_BYTES = 60;
const arena = new Arena(4096);

/** The packet that the error is about. Its ports are `port`, both. */
export interface Quoted {
  readonly from: string;
  readonly to: string;
  /** UDP by default. */
  readonly protocol?: number;
  readonly port?: number;
}

/** "Fragmentation needed" or "packet too big", from this machine to the packet's sender, unless it is another. */
export function forgeTooBig(mtu: number, quoted: Quoted, receiver = quoted.from): void {
  const isIpv6 = receiver.includes(":");
  const message = Buffer.concat([Buffer.alloc(8), isIpv6 ? quoteIpv6(quoted) : quoteIpv4(quoted)]);
  message[0] = isIpv6 ? 2 : 3;
  message[1] = isIpv6 ? 0 : 4;
  message.writeUInt32BE(mtu, 4);
  if (!isIpv6) message.writeUInt16BE(checksum(message), 2); // that of ICMPv6 is the kernel's to compute
  sendRaw(receiver, isIpv6 ? ICMPV6 : ICMP, message);
}

function quoteIpv4({ from, to, protocol = UDP, port = 4789 }: Quoted): Buffer {
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(1500, 2);
  head.writeUInt16BE(0x4000, 6);
  head[8] = 64;
  head[9] = protocol;
  head.set(parseIp(from)!.bytes, 12);
  head.set(parseIp(to)!.bytes, 16);
  head.writeUInt16BE(checksum(head), 10);
  return Buffer.concat([head, transport(port)]);
}

function quoteIpv6({ from, to, protocol = UDP, port = 4789 }: Quoted): Buffer {
  const head = Buffer.alloc(40);
  head[0] = 0x60;
  head.writeUInt16BE(1460, 4);
  head[6] = protocol;
  head[7] = 64;
  head.set(parseIp(from)!.bytes, 8);
  head.set(parseIp(to)!.bytes, 24);
  return Buffer.concat([head, transport(port)]);
}

/** Of UDP, with a VXLAN header for VNI 4096. */
function transport(port: number): Buffer {
  const bytes = Buffer.alloc(QUOTED_BYTES);
  bytes.writeUInt16BE(port, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt16BE(1440, 4);
  bytes[8] = 0x08;
  bytes.writeUInt32BE(4096 << 8, 12);
  return bytes;
}

function sendRaw(to: string, protocol: number, message: Uint8Array): void {
  const fd = libc.socket(to.includes(":") ? AF_INET6 : AF_INET, SOCK_RAW, protocol);
  check("socket", fd < 0 ? -errno() : fd);
  try {
    const length = writeSockaddr(arena.bytes, 0, parseIp(to)!.bytes, 0);
    check("connect", connect(fd, arena.address(0), length));
    arena.bytes.set(message);
    check("send", send(fd, arena.address(0), message.length));
  } finally {
    close(fd);
  }
}

/** [RFC 1071] */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
