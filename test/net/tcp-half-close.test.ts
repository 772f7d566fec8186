/** FIN passes through in either direction, after every byte before it, and leaves the other direction open. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { Pattern } from "../support/load/pattern.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { TcpPath } from "../support/proxy/tcp-path.ts";

const MIB = 1024 * 1024;
const STALL_MS = 300;
/** Data and FIN race the proxy's reads: what depends on their timing shows in some rounds only. */
const ROUNDS = 200;

let path: TcpPath;
let stream = 0;

beforeAll(async () => {
  path = await TcpPath.start();
});
afterEach(() => path.closeAll());
afterAll(() => path.stop());

/** Sends a whole stream with FIN behind it. */
async function sendAll(from: RawSocket, pattern: Pattern, bytes: number): Promise<void> {
  await pattern.send(from, bytes);
  from.finish();
}

/** Both sides of a connection, in the order in which they speak. */
const ORDERS = [
  ["the client", (path: TcpPath) => path.open().then(({ client, task }) => [client, task] as const)],
  ["the task", (path: TcpPath) => path.open().then(({ client, task }) => [task, client] as const)],
] as const;

describe.each(ORDERS)("%s ends first", (_, open) => {
  test("without a byte, then gets 10 MiB and FIN", async () => {
    const [first, second] = await open(path);
    first.finish();
    expect(await second.receiveRest()).toBe("");
    const answer = new Pattern(stream++);
    const sending = sendAll(second, answer, 10 * MIB);
    expect(await answer.receiveToEnd(first)).toEqual({ bytes: 10 * MIB, how: "end" });
    await sending;
  });

  test("after a request; the answer and its FIN come together", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [first, second] = await open(path);
      await first.send("request");
      first.finish();
      expect(await second.receiveRest()).toBe("request");
      await second.send("answer");
      second.finish();
      expect(await first.receiveRest()).toBe("answer");
    }
  });

  test("while the answer is under way", async () => {
    for (let round = 0; round < 10; round++) {
      const [first, second] = await open(path);
      const answer = new Pattern(stream++);
      const sending = sendAll(second, answer, MIB);
      first.finish();
      expect(await answer.receiveToEnd(first)).toEqual({ bytes: MIB, how: "end" });
      expect(await second.receiveRest()).toBe("");
      await sending;
    }
  });

  test("with bytes in flight to a slow reader, which gets them all", async () => {
    const [first, second] = await open(path);
    const pattern = new Pattern(stream++);
    await pattern.sendUntilStalled(first, STALL_MS);
    first.finish();
    await second.send("not yet");
    expect(await first.receiveText(7)).toBe("not yet");
    expect(await pattern.receiveToEnd(second)).toEqual({ bytes: pattern.sentBytes, how: "end" });
    await second.send("done");
    second.finish();
    expect(await first.receiveRest()).toBe("done");
  });

  test("closing with everything read; what is still sent to it breaks the connection", async () => {
    const [first, second] = await open(path);
    await first.send("bye");
    first.close();
    expect(await second.receiveRest()).toBe("bye");
    await second.send("who is there?");
    expect(await second.failure()).toMatch(/^(ECONNRESET|EPIPE)$/);
  });
});

test("both end at once", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { client, task } = await path.open();
    await client.send("ping");
    await task.send("pong");
    client.finish();
    task.finish();
    expect(await client.receiveRest()).toBe("pong");
    expect(await task.receiveRest()).toBe("ping");
  }
});

describe("the client's FIN before the task has accepted", () => {
  test("with a request before it", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const client = await path.connect();
      await client.send("request");
      client.finish();
      const task = await path.accept();
      expect(await task.receiveRest()).toBe("request");
      await task.send("answer");
      task.close();
      expect(await client.receiveRest()).toBe("answer");
    }
  });

  test("without a byte", async () => {
    const client = await path.connect();
    client.finish();
    const task = await path.accept();
    expect(await task.receiveRest()).toBe("");
    await task.send("answer");
    task.finish();
    expect(await client.receiveRest()).toBe("answer");
  });
});

test("a half-closed connection stays open as long as the other side wants", async () => {
  const { client, task } = await path.open();
  client.finish();
  expect(await task.receiveRest()).toBe("");
  for (let i = 0; i < 20; i++) {
    await task.send(`part ${i}`);
    expect(await client.receiveText(`part ${i}`.length)).toBe(`part ${i}`);
    expect(await client.becomesReadable(10)).toBe(false);
  }
});
