/** A port is closed while clients come: who is through the handshake is served, who comes later is refused. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { freePort } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import { waitFor } from "../support/time/wait-for.ts";

const WORKERS = 2;
const CLIENTS = 8;
const ROUNDS = 40;
const SERVED_BEFORE = 50;

let task: RawListener;
let isServing: boolean;
let serving: Promise<void>;

beforeEach(() => {
  task = RawListener.open();
  isServing = true;
  serving = serveTask();
});

afterEach(async () => {
  isServing = false;
  (await RawSocket.connect(task.port)).close(); // accept() returns
  await serving;
  task.close();
});

/** Answers one message of each connection. */
async function serveTask(): Promise<void> {
  while (isServing) void answer(await task.accept());
}

async function answer(connection: RawSocket): Promise<void> {
  if ((await connection.receiveText(4)) === "ping") await connection.send("pong");
  connection.close();
}

class Clients {
  served = 0;
  /** Of connections that were established. */
  readonly failures: string[] = [];
  /** All of them have been refused. */
  readonly ended: Promise<unknown>;

  constructor(port: number) {
    this.ended = Promise.all(Array.from({ length: CLIENTS }, () => this.#run(port)));
  }

  async #run(port: number): Promise<void> {
    for (;;) {
      const client = await RawSocket.connect(port).catch((error: { code: string }) => error);
      if (!(client instanceof RawSocket)) {
        if (client.code !== "ECONNREFUSED") this.failures.push(client.code);
        return;
      }
      await this.#ask(client).catch((error: { code: string }) => this.failures.push(error.code));
      client.close();
    }
  }

  async #ask(client: RawSocket): Promise<void> {
    await client.send("ping");
    const reply = await client.receiveText(4);
    if (reply === "pong") this.served++;
    else this.failures.push(`answered "${reply}"`);
  }
}

test("by a reload", async () => {
  const published = await freePort();
  const harness = await ProxyHarness.start(WORKERS);
  for (let round = 0; round < ROUNDS; round++) {
    await harness.apply({ protocol: "tcp", published, tasks: [task.port] });
    const clients = new Clients(published);
    await waitFor(() => clients.served > SERVED_BEFORE, { what: "clients to be served" });
    await harness.apply();
    await clients.ended;
    expect(clients.failures).toEqual([]);
  }
  await harness.stop();
});

test("by a drain", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const published = await freePort();
    const harness = await ProxyHarness.start(WORKERS);
    await harness.apply({ protocol: "tcp", published, tasks: [task.port] });
    const clients = new Clients(published);
    await waitFor(() => clients.served > SERVED_BEFORE, { what: "clients to be served" });
    expect(await harness.proxy.drain()).toBe(true);
    await clients.ended;
    expect(clients.failures).toEqual([]);
    await harness.stop();
  }
});
