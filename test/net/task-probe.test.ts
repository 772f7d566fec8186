/** How the main thread finds out whether a task is there, over TCP and UDP, on this host and on another one. */
import { afterEach, describe, expect, test } from "bun:test";
import { Probe } from "../../src/proxy/reach/probe.ts";
import { TaskWatch } from "../../src/proxy/reach/task-watch.ts";
import type { TaskEndpoint } from "../../src/proxy/table/routing-table.ts";
import { ECONNREFUSED, EHOSTUNREACH } from "../../src/sys/errno.ts";
import { UdpSockets } from "../../src/sys/udp-sockets.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import { RawListener } from "../support/os/raw-socket.ts";
import { waitFor } from "../support/time/wait-for.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const now = () => performance.now();

async function probe(task: TaskEndpoint, lastErrno = ECONNREFUSED): Promise<Probe & { outcome: string }> {
  const asked = new Probe(task, lastErrno, now(), new UdpSockets());
  const outcome = await waitFor(() => asked.poll(now()), { what: "the probe to end" });
  return Object.assign(asked, { outcome });
}

test("TCP: a task that accepts has answered, one that is gone is refused", async () => {
  const listener = RawListener.open();
  const task = { protocol: "tcp", address: "127.0.0.1", port: listener.port } as const;
  expect((await probe(task)).outcome).toBe("answered");
  listener.close();
  expect(await probe(task)).toMatchObject({ outcome: "refused", lastErrno: ECONNREFUSED });
});

test.each(["127.0.0.1", "::1"])("UDP on this host, %s: the program gets no datagram", async (address) => {
  const port = await freeQuietPort(address);
  const task = { protocol: "udp", address, port } as const;
  expect((await probe(task)).outcome).toBe("refused");
  const peer = await UdpPeer.open(address, port);
  cleanUps.push(() => peer.close());
  expect((await probe(task)).outcome).toBe("answered");
  expect((await peer.ask("x", port, address)).data.toString()).toBe("x"); // its own
  expect(peer.received).toHaveLength(1);
});

test("a watch takes a task that stays away for down, one that is back for up, and then rests", async () => {
  const descriptors = descriptorsOf(process.pid);
  let changes = 0;
  const watch = new TaskWatch({ nowMs: now, onChange: () => changes++ });
  const tasks = (["tcp", "udp"] as const).map((protocol) => ({ protocol, address: "127.0.0.1", port: 0 }));
  const port = await freeQuietPort();
  const both = tasks.map((task) => ({ ...task, port }));
  for (const task of both) watch.onFailed(task, ECONNREFUSED);
  await waitFor(() => both.every((task) => watch.isDown(task)), { what: "both to be down" });
  const web = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
  const udp = await UdpPeer.open("127.0.0.1", port);
  await waitFor(() => watch.isIdle, { what: "both to be up" });
  expect(both.some((task) => watch.isDown(task))).toBe(false);
  web.stop(true);
  udp.close();
  expect(changes).toBeGreaterThanOrEqual(2);
  await waitFor(() => descriptorsOf(process.pid) <= descriptors, { what: "its descriptors to be closed" });

  for (const task of both) watch.onFailed(task, ECONNREFUSED);
  watch.keepOnly([]); // they have left the table
  expect(watch.isIdle).toBe(true);
});

describe.skipIf(lacksNamespaces())("UDP on another host", () => {
  test("is refused by ICMP or by an unused address, and else has answered", async () => {
    const network = Namespaces.create(1);
    cleanUps.push(() => network.close());
    const [machine] = network.nodes;
    const { address, wrapper } = machine!;
    const task = { protocol: "udp", address, port: 9000 } as const;
    expect(await probe(task)).toMatchObject({ outcome: "refused", isRateLimited: true });
    const off = { ...task, address: `${network.subnet}.99` };
    expect(await probe(off, EHOSTUNREACH)).toMatchObject({ outcome: "refused", lastErrno: EHOSTUNREACH });

    const script = `const s = await Bun.udpSocket({ hostname: "${address}", port: 9000 }); console.log(s.port)`;
    const program = Bun.spawn([...wrapper, process.execPath, "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    cleanUps.push(() => program.kill("SIGKILL"));
    await program.stdout.getReader().read();
    expect((await probe(task)).outcome).toBe("answered");
  });
});
