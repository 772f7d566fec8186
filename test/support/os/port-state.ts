/** What a client finds at a port: whether anything listens there. */
import { Arena } from "../../../src/sys/arena.ts";
import { ECONNREFUSED } from "../../../src/sys/errno.ts";
import { AF_INET, AF_INET6, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import * as socket from "../../../src/sys/socket.ts";
import { parseIp } from "../../../src/wire/index.ts";
import { RawSocket } from "./raw-socket.ts";

const ANSWER_MS = 100;
const memory = new Arena(4096);

/** false: refused in the handshake, as by a machine where nothing listens. */
export async function isTcpOpen(port: number, to: string): Promise<boolean> {
  try {
    (await RawSocket.connect(port, { to })).close();
    return true;
  } catch (error) {
    if ((error as { code: string }).code === "ECONNREFUSED") return false;
    if ((error as { code: string }).code === "ECONNRESET") return true; // accepted and reset
    throw error;
  }
}

/** false: ICMP says that the port is unreachable. */
export async function isUdpOpen(port: number, to: string): Promise<boolean> {
  const { family, bytes } = parseIp(to)!;
  const length = writeSockaddr(memory.bytes, 0, bytes, port);
  const fd = socket.udpSocket(family === 4 ? AF_INET : AF_INET6);
  try {
    socket.connect(fd, memory.address(0), length);
    memory.bytes[0] = 0x3f;
    socket.send(fd, memory.address(0), 1);
    await Bun.sleep(ANSWER_MS); // the time an ICMP error has
    return socket.takeError(fd) !== ECONNREFUSED;
  } finally {
    socket.close(fd);
  }
}
