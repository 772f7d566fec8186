/** Probes whose sockets cannot be connected, or are called off: a failure with a reason, and nothing is left open. */
import { expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { probeHttp } from "../../src/health/probes/http.ts";
import { probeUdp } from "../../src/health/probes/udp.ts";
import type { HttpCheck, UdpCheck } from "../../src/model/index.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMING = { intervalMs: 1_000, timeoutMs: 10_000, rise: 1, fall: 1, port: null };
const UDP: UdpCheck = { type: "udp", ...TIMING, send: "x", expect: null };
const HTTP: HttpCheck = {
  ...{ type: "http", ...TIMING, method: "GET", path: "/", host: null, headers: {}, status: "200" },
};

test.each(["255.255.255.255", "fe80::1"])(
  "udp: %s, which the system refuses to connect to",
  async (address) => {
    const { outcome, reason } = await probeUdp(UDP, { address, port: 9 }, new AbortController().signal);
    expect([outcome, reason === ""]).toEqual(["down", false]);
  },
);

test("http: a probe that is called off closes its connection", async () => {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as { port: number };
    const abort = new AbortController();
    const probe = probeHttp(HTTP, { address: "127.0.0.1", port }, abort.signal);
    await waitFor(() => open.size === 1, { what: "the probe to connect" });
    abort.abort();
    expect((await probe).outcome).toBe("down");
    await waitFor(() => open.size === 0, { what: "the connection to be closed" });
  } finally {
    server.close();
  }
});
