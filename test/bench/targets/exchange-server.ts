/** Answers every message of BYTES with one of the same size: bun exchange-server.ts PORT BYTES */
import { scratch } from "../../../src/sys/arena.ts";
import { SysError } from "../../../src/sys/errno.ts";
import { AF_INET, SOCKADDR_MAX, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { accept, bind, listen, setReuseAddress, tcpSocket } from "../../../src/sys/socket.ts";
import { MessageLoop } from "../tools/message-loop.ts";

const BACKLOG = 128;
const ANY = Uint8Array.of(0, 0, 0, 0);

const [port = 0, messageBytes = 0] = process.argv.slice(2).map(Number);
const loop = new MessageLoop(
  messageBytes,
  (fd) => loop.send(fd),
  () => {},
  acceptAll,
);
loop.addListener(openListener(port));
for (;;) loop.turn(-1);

function openListener(port: number): number {
  const fd = tcpSocket(AF_INET);
  setReuseAddress(fd);
  const length = writeSockaddr(scratch.bytes, 0, ANY, port);
  const result = bind(fd, scratch.address(0), length) || listen(fd, BACKLOG);
  if (result < 0) throw new SysError("listen", -result);
  return fd;
}

function acceptAll(listener: number): void {
  for (;;) {
    scratch.int32[SOCKADDR_MAX >> 2] = SOCKADDR_MAX;
    const fd = accept(listener, scratch.address(0), scratch.address(SOCKADDR_MAX));
    if (fd < 0) return;
    loop.add(fd);
  }
}
