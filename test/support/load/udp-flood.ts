/**
 * Datagrams from as many sources: `bun udp-flood.ts PORT COUNT`. Every one comes from a port of its own, on addresses of
 * 127.0.0.0/8, and its sender is gone at once. Prints how many were sent.
 */
import { Arena } from "../../../src/sys/arena.ts";
import { AF_INET, SOCKADDR_MAX, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { bind, close, connect, send, udpSocket } from "../../../src/sys/socket.ts";

/** 127.7.0.1 and up: not what anything else uses. */
const FIRST_NETWORK = 7;
const PORTS_PER_ADDRESS = 1_000;
const FIRST_PORT = 20_000;

function floodUdp(port: number, count: number): number {
  const memory = new Arena(4096);
  const [fromAt, toAt, dataAt] = [memory.take(SOCKADDR_MAX), memory.take(SOCKADDR_MAX), memory.take(64)];
  const length = writeSockaddr(memory.bytes, toAt, Uint8Array.of(127, 0, 0, 1), port);
  let sent = 0;
  for (let i = 0; i < count; i++) {
    const host = 1 + Math.floor(i / PORTS_PER_ADDRESS);
    writeSockaddr(
      memory.bytes,
      fromAt,
      Uint8Array.of(127, FIRST_NETWORK, host >> 8, host & 255),
      FIRST_PORT + (i % PORTS_PER_ADDRESS),
    );
    const fd = udpSocket(AF_INET);
    if (bind(fd, memory.address(fromAt), length) === 0 && connect(fd, memory.address(toAt), length) === 0) {
      if (send(fd, memory.address(dataAt), 16) === 16) sent++;
    }
    close(fd);
  }
  return sent;
}

if (import.meta.main) console.log(floodUdp(Number(process.argv[2]), Number(process.argv[3])));
