import { expect, test } from "bun:test";
import { Arena } from "../../src/sys/arena.ts";
import { AF_INET, writeSockaddr } from "../../src/sys/sockaddr.ts";
import {
  bind,
  close,
  connect,
  listen,
  localAddress,
  tcpSocket,
  unansweredSends,
} from "../../src/sys/socket.ts";
import { Pattern } from "../support/load/pattern.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { waitFor } from "../support/time/wait-for.ts";

test("unansweredSends does not grow for a peer that has all, nor for one that takes nothing more", async () => {
  const listener = RawListener.open();
  const client = await RawSocket.connect(listener.port);
  const peer = await listener.accept();
  expect(unansweredSends(client.fd)).toBe(0);
  await new Pattern(1).sendUntilStalled(client, 1500);
  expect(unansweredSends(client.fd)).toBeLessThanOrEqual(1); // the answer to the last may be on its way
  client.close();
  peer.close();
  listener.close();
});

test("unansweredSends counts what is sent again in vain", async () => {
  const memory = new Arena(4096);
  const listener = tcpSocket(AF_INET);
  const length = writeSockaddr(memory.bytes, 0, Uint8Array.of(127, 0, 0, 1), 0);
  expect(bind(listener, memory.address(0), length)).toBe(0);
  expect(localAddress(listener, memory.address(0))).toBe(0);
  // the shortest queue; once it is full the kernel does not answer
  expect(listen(listener, 0)).toBe(0);
  const clients = Array.from({ length: 4 }, () => tcpSocket(AF_INET));
  for (const client of clients) connect(client, memory.address(0), length);
  await waitFor(() => unansweredSends(clients.at(-1)!) > 0, { what: "the second attempt, after a second" });
  for (const fd of [listener, ...clients]) close(fd);
});

test("unansweredSends is 0 of what is no TCP socket", () => {
  expect(unansweredSends(-1)).toBe(0);
});
