/**
 * The executable under floods that would take every descriptor: what is flooded pays for it, other services, clients
 * that are served and the admin socket do not.
 */
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { resolve } from "node:path";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePort, freeQuietPort } from "../support/os/free-port.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import { findProgram } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const UDP_FLOOD = resolve("test/support/load/udp-flood.ts");
const TCP_CLIENTS = resolve("test/support/load/silent-clients.ts");

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function limitedTo(descriptors: number): readonly string[] {
  return [findProgram("bash")!, "-c", `ulimit -n ${descriptors}; exec "$0" "$@"`];
}

async function echoTask(): Promise<number> {
  const port = await freePort();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port,
    socket: { data: (socket, bytes) => void socket.write(bytes) },
  });
  cleanUps.push(() => server.stop(true));
  return port;
}

interface Ports {
  readonly dns: number;
  readonly web: number;
  readonly db: number;
}

/** A node with a UDP service and two TCP services, and its ports. */
async function startNode(descriptors: number, udpTask: UdpPeer): Promise<[NodeProcess, Ports]> {
  const [dns, web, db] = [await freeQuietPort(), await freePort(), await freePort()];
  const task = await echoTask();
  const node = await NodeProcess.start(
    `[[services]]
name = "dns"
publish = ["${dns}:${udpTask.port}/udp"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
[[services]]
name = "web"
publish = ["${web}:${task}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
[[services]]
name = "db"
publish = ["${db}:${task}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
`,
    limitedTo(descriptors),
  );
  cleanUps.push(() => node.kill());
  return [node, { dns, web, db }];
}

/** One connection with one byte there and back; it stays open. */
function talk(port: number): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("x"));
    cleanUps.push(() => socket.destroy());
    socket.once("data", () => done(socket));
    socket.once("error", fail);
    socket.once("close", () => fail(new Error("closed")));
  });
}

/** Whether it still works. */
function echoes(socket: Socket): Promise<boolean> {
  return new Promise((done) => {
    socket.once("data", () => done(true));
    socket.once("close", () => done(false));
    socket.write("y");
  });
}

/** Returns when the process has ended, with what it printed. */
async function run(script: string, ...args: (string | number)[]): Promise<string> {
  const child = Bun.spawn([process.execPath, script, ...args.map(String)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  cleanUps.push(() => child.kill("SIGKILL"));
  return child.stdout.text();
}

async function refused(node: NodeProcess, service: string): Promise<number> {
  const { services } = (await node.status()).proxy;
  return services.find(({ name }) => name === service)!.refusedTotal["out-of-descriptors"] ?? 0;
}

async function newClient(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  cleanUps.push(() => peer.close());
  return peer;
}

test.each([20_000, 1_024])(
  "a UDP flood from 25,000 sources takes no descriptor of others (limit %d)",
  async (limit) => {
    const task = await UdpPeer.task();
    cleanUps.push(() => task.close());
    const [node, ports] = await startNode(limit, task);
    // clients that have proved that answers reach them
    const clients = await Promise.all(Array.from({ length: 20 }, newClient));
    for (let round = 0; round < 2; round++)
      for (const peer of clients) await peer.ask(`round ${round}`, ports.dns);
    const sourcePorts = async () => {
      const seen: number[] = [];
      for (const peer of clients) {
        const before = task.received.length;
        const name = `from ${peer.port}`;
        await peer.ask(name, ports.dns);
        seen.push(task.received.slice(before).find(({ data }) => data.toString() === name)!.from.port);
      }
      return seen;
    };
    const before = await sourcePorts();
    const flood = run(UDP_FLOOD, ports.dns, 25_000);
    // meanwhile
    const served = await Promise.all([
      ...Array.from({ length: 20 }, () => talk(ports.web)),
      ...Array.from({ length: 20 }, () => talk(ports.db)),
    ]);
    expect(Number(await flood)).toBe(25_000);
    await waitFor(async () => (await refused(node, "dns")) > 0, { what: "sessions to be evicted" });
    expect(descriptorsOf(node.child.pid)).toBeLessThan(limit - 64);
    expect(await Promise.all(served.map(echoes))).toEqual(served.map(() => true));
    for (let i = 0; i < 20; i++) await talk(ports.web);
    expect(await sourcePorts()).toEqual(before);
    expect(await refused(node, "web")).toBe(0);
    // a new client of what was flooded is served too
    expect((await (await newClient()).ask("new", ports.dns)).data.toString()).toBe("new");
    await waitFor(() => node.log.includes('service \\"dns\\"') || node.log.includes('service "dns"'), {
      what: "the log to say so",
    });
    // 25,000 sessions were evicted; a slow machine takes long enough for a few reports, each of up to three lines
    expect(node.log.split("\n").filter((line) => line.includes("file descriptors")).length).toBeLessThan(20);
  },
  60_000,
);

test.each([4_096, 1_024])(
  "a flood of silent TCP connections to one port leaves the others alone, and it is itself served (limit %d)",
  async (limit) => {
    const task = await UdpPeer.task();
    cleanUps.push(() => task.close());
    const [node, ports] = await startNode(limit, task);
    const early = await Promise.all(Array.from({ length: 10 }, () => talk(ports.web)));
    const flood = Bun.spawn([process.execPath, TCP_CLIENTS, String(ports.web), String(limit)], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    cleanUps.push(() => flood.kill("SIGKILL"));
    await waitFor(async () => (await refused(node, "web")) > 10, { what: "silent clients to be evicted" });
    expect(descriptorsOf(node.child.pid)).toBeLessThan(limit - 64);
    const others = await Promise.all(Array.from({ length: 20 }, () => talk(ports.db)));
    const peer = await newClient();
    for (let i = 0; i < 20; i++) expect((await peer.ask(`${i}`, ports.dns)).data.toString()).toBe(`${i}`);
    // who talks is not taken for silent, and newcomers get through
    expect(await Promise.all(early.map(echoes))).toEqual(early.map(() => true));
    await talk(ports.web);
    expect(await Promise.all(others.map(echoes))).toEqual(others.map(() => true));
    expect(await refused(node, "db")).toBe(0);
    await waitFor(() => /service .{0,2}web/.test(node.log), { what: "the log to say so" });
  },
  60_000,
);
