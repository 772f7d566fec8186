import { expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, createConnection, createServer } from "node:net";
import { findUdpPortOwner, OwnPorts } from "../../../src/sys/port-owner.ts";

test.each(["127.0.0.1", "::1"])(
  "findUdpPortOwner names the process that has a port at %s",
  async (hostname) => {
    const socket = await Bun.udpSocket({ hostname });
    const { port } = socket;
    try {
      expect(findUdpPortOwner(port)?.process?.pid).toBe(process.pid);
    } finally {
      socket.close();
    }
  },
);

test("an unused port has no owner", () => {
  // 0 is never bound
  expect(findUdpPortOwner(0)).toBeNull();
});

test("a connection of this process is distinguished from its listener of the other family on the same port", async () => {
  const [ipv6, ipv4] = [createServer(), createServer()];
  await new Promise<void>((resolve) => ipv6.listen(0, "::1", resolve));
  const { port } = ipv6.address() as AddressInfo;
  await new Promise<void>((resolve) => ipv4.listen(0, "127.0.0.1", resolve));
  const server = ipv4.address() as AddressInfo;
  const client = createConnection({ host: "127.0.0.1", port: server.port, localPort: port });
  try {
    await once(client, "connect");
    const own = new OwnPorts();
    expect(own.useOf("tcp", "127.0.0.1", port)).toBe("connected");
    expect(own.useOf("tcp", "::1", port)).toBe("waiting");
    expect(own.useOf("tcp", "::1", server.port)).toBe("waiting");
    expect(own.useOf("tcp", "127.0.0.1", 1)).toBeNull();
  } finally {
    client.destroy();
    ipv4.close();
    ipv6.close();
  }
});
