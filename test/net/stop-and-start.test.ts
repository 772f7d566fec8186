/**
 * A process of the node stops while connections are still open, and the next one starts: it waits for ports, admin
 * socket and state, not for the connections. A node that serves keeps them.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

let directory: TempDir;
let echo: Server;
let published: number;
let nodes: NodeProcess[];

beforeEach(async () => {
  directory = tempDir();
  nodes = [];
  published = await freePort();
  echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
});

afterEach(async () => {
  for (const node of nodes) await node.kill();
  echo.close();
  directory[Symbol.dispose]();
});

function start(more = ""): NodeProcess {
  const { port } = echo.address() as { port: number };
  const service = `[[services]]\nname = "echo"\npublish = ["${published}:${port}"]\ntasks = ["127.0.0.1"]\n`;
  const node = NodeProcess.startIn(directory.path, service + more);
  nodes.push(node);
  return node;
}

async function hold(): Promise<Socket> {
  const client = connect(published, "127.0.0.1");
  client.on("error", () => undefined);
  await once(client, "connect");
  await echoes(client, "held");
  return client;
}

async function echoes(client: Socket, text: string): Promise<void> {
  client.write(text);
  const [bytes] = await once(client, "data");
  expect(`${bytes}`).toBe(text);
}

for (const cluster of ["", "alone"]) {
  test(`the next process serves while held connections continue in the previous one${cluster && ", in a cluster"}`, async () => {
    const gossip = cluster === "" ? "" : `[cluster]\nname = "c"\nbind = "127.0.0.1:${await freePort()}"\n`;
    const first = start(gossip);
    await first.serves();
    const held = await hold();
    first.child.kill("SIGTERM");
    await waitFor(() => first.log.includes("draining"), { what: "the drain" });
    const second = start(gossip);
    await second.serves();
    expect(second.log).toContain("waiting for the previous process");
    expect((await second.status()).pid).toBe(second.child.pid);
    await echoes(held, "still here");
    await echoes(await hold(), "new");
    expect(first.child.exitCode).toBeNull();
    held.destroy();
    expect(await first.child.exited).toBe(0);
    await echoes(await hold(), "after");
    expect((await second.status()).state).toBe("serving");
  });
}

test("what was declared by command during the life of the first is there in the second", async () => {
  const first = start();
  await first.serves();
  const held = await hold();
  const response = await fetch("http://portmesh/v1/services/echo/tasks", {
    unix: first.socket,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "by-command", host: "127.0.0.1", port: 9, weight: 1 }),
  });
  expect(response.status).toBe(201);
  first.child.kill("SIGTERM");
  await waitFor(() => first.log.includes("draining"), { what: "the drain" });
  const second = start();
  await second.serves();
  const services = await fetch("http://portmesh/v1/services/echo", { unix: second.socket });
  const { tasks } = (await services.json()) as { tasks: { name: string }[] };
  expect(tasks.map(({ name }) => name)).toContain("by-command");
  held.destroy();
});

test("a node that serves keeps its socket: a second one ends with an error that says so", async () => {
  const first = start();
  await first.serves();
  const second = start();
  expect(await second.child.exited).toBe(1);
  expect(second.log).toContain(`cannot listen on ${first.socket}: another node uses this socket`);
  expect((await first.status()).state).toBe("serving");
});
