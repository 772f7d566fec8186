/**
 * Thousands of UDP sessions through upgrades, near the limit of open files: each keeps its task and source port. A process
 * with too low a limit for them takes nothing over.
 */
import { afterEach, expect, test } from "bun:test";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { EXECUTABLE, NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SESSIONS = Number(process.env.SESSIONS ?? 4_000);
const AT_ONCE = 100;
/** The node needs some for itself; three workers have a third of it each. */
const FILE_LIMIT = Math.round(SESSIONS * 1.15) + 300;
const CLIENT_PORT = 10_000;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function limited(files: number): string[] {
  return ["sh", "-c", `ulimit -n ${files} && exec "$@"`, "sh"];
}

function file(published: number, task: UdpPeer, workers: number): string {
  return `[proxy]
workers = ${workers}
[[services]]
name = "dns"
publish = ["${published}:53/udp"]
bind = ["127.0.0.1"]
udp = { idle_timeout = "10m" }
tasks = ["127.0.0.1:${task.port}"]
`;
}

/** Every client asks once, from its own address; the answers: the ports that the task has seen. */
async function askAll(published: number): Promise<number[]> {
  const ports: number[] = [];
  for (let first = 0; first < SESSIONS; first += AT_ONCE) {
    const clients = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) =>
        UdpPeer.open(`127.8.${(first + i) >> 8}.${(first + i) & 255}`, CLIENT_PORT),
      ),
    );
    let waiting = clients;
    await waitFor(
      () => {
        for (const client of waiting) client.send("?", published);
        waiting = clients.filter(({ received }) => received.length === 0);
        return waiting.length === 0;
      },
      { what: "answers to all clients", deadlineMs: 30_000 },
    );
    ports.push(...clients.map(({ texts }) => Number(texts[0])));
    for (const client of clients) client.close();
  }
  return ports;
}

test(`${SESSIONS} sessions`, async () => {
  const published = await freePort();
  const task = await UdpPeer.open();
  closers.push(() => task.close());
  task.onDatagram = ({ from }) => {
    task.received.length = 0;
    task.send(`${from.port}`, from.port, from.address);
  };
  const node = await NodeProcess.start(file(published, task, 2), limited(FILE_LIMIT));
  closers.push(async () => {
    const pid = await node.status().then(
      (status) => status.pid,
      () => null,
    );
    if (pid !== null && pid !== node.child.pid) process.kill(pid, "SIGKILL");
    await node.kill();
  });
  const openSessions = async () => (await node.status()).proxy.services[0]!.udp.openSessions;
  const upgrade = async () =>
    expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });

  const ports = await askAll(published);
  expect(await openSessions()).toBe(SESSIONS);

  const { pid } = await node.status();
  const command = [...limited(Math.round(SESSIONS / 2)), EXECUTABLE, "run", "-c", node.file, "--take-over"];
  const small = Bun.spawn(command, { env: {}, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  expect(await small.stderr.text()).toContain("the limit of open files is too low");
  expect(await small.exited).not.toBe(0);
  await waitFor(() => node.log.includes("this process continues: the limit of open files is too low"), {
    what: "the reason in the log",
  });
  expect([(await node.status()).pid, await openSessions()]).toEqual([pid, SESSIONS]);

  await upgrade();
  expect(await openSessions()).toBe(SESSIONS);
  expect(await askAll(published)).toEqual(ports);
  expect(await openSessions()).toBe(SESSIONS);

  // smaller shares, and the same sockets
  node.write(file(published, task, 3));
  await waitFor(async () => (await node.status()).predecessors?.length === 0, {
    what: "the predecessor to end",
  });
  await upgrade();
  expect([(await node.status()).proxy.workers, await openSessions()]).toEqual([3, SESSIONS]);
}, 120_000);
