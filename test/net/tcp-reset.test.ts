/**
 * A connection that breaks on one side breaks on the other: RST is never taken for FIN, and what had been sent before it
 * is delivered. Whatever arrives is a prefix of what was sent (`Pattern` compares every byte), and all of it when the
 * stream ends cleanly.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Pattern } from "../support/load/pattern.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { TcpPath } from "../support/proxy/tcp-path.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const MIB = 1024 * 1024;
const STALL_MS = 300;
const ROUNDS = 50;
const BROKEN = /^(ECONNRESET|EPIPE)$/;

let seeded: Seeded;
let path: TcpPath;
let stream = 0;

beforeAll(async () => {
  seeded = Seeded.fromEnvironment();
  path = await TcpPath.start();
});
afterEach(() => path.closeAll());
afterAll(() => path.stop());

/** Sends for ever; resolves with the code of the error that ends it. */
async function sendUntilBroken(to: RawSocket, pattern: Pattern): Promise<string> {
  try {
    for (;;) await pattern.send(to, MIB);
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/**
 * A connection that the proxy has established. A task that resets sooner, while the proxy is still connecting, has
 * refused the client as far as the proxy can tell, and another task is tried.
 */
async function openEstablished(path: TcpPath): Promise<{ client: RawSocket; task: RawSocket }> {
  const { client, task } = await path.open();
  await task.send("220");
  expect(await client.receiveText(3)).toBe("220");
  return { client, task };
}

/** Reads until the proxy's kernel has everything that was sent, FIN included; the rest stays under way. */
async function receiveUntilTaken(from: RawSocket, to: RawSocket, pattern: Pattern): Promise<void> {
  const pieceBytes = 16 * 1024;
  while (from.unacknowledgedBytes > 0 && pattern.sentBytes - pattern.receivedBytes > pieceBytes)
    await pattern.receive(to, pieceBytes);
  await waitFor(() => from.unacknowledgedBytes === 0, { what: "the proxy to have everything" });
}

/** The side that breaks the connection, and the other. */
const ORDERS = [
  [
    "the client",
    (path: TcpPath) => openEstablished(path).then(({ client, task }) => [client, task] as const),
  ],
  ["the task", (path: TcpPath) => openEstablished(path).then(({ client, task }) => [task, client] as const)],
] as const;

// what takes longest waits beside each other, each on a path of its own; the rest shares one

test.concurrent("the task resets while the client reads slowly, for longer than a silent one is waited for: it gets every byte", async () => {
  await using path = await TcpPath.start();
  const { client, task } = await openEstablished(path);
  const pattern = new Pattern(stream++);
  await pattern.send(task, 3 * MIB);
  await waitFor(() => task.unacknowledgedBytes === 0, { what: "the proxy to have everything" });
  task.reset();
  const pieceBytes = 64 * 1024;
  const pauseMs = 7000 / ((3 * MIB) / pieceBytes);
  const { bytes, how } = await pattern.receiveToEnd(client, {
    maxLength: pieceBytes,
    onProgress: () => Bun.sleep(pauseMs), // the pace of this reader
  });
  expect({ bytes, how }).toEqual({ bytes: 3 * MIB, how: "ECONNRESET" });
});

test.concurrent("the client resets while the task reads nothing: it is waited for, with a limit", async () => {
  await using path = await TcpPath.start();
  const { client, task } = await openEstablished(path);
  await new Pattern(stream++).sendUntilStalled(client, STALL_MS);
  client.reset();
  expect(await task.becomesReadable(0)).toBe(true);
  await waitFor(() => path.harness.openConnections === 0, { what: "the end" });
});

describe.each(ORDERS)("%s resets", (_, open) => {
  test.concurrent("while it sends: the other gets a prefix and never a clean end", async () => {
    await using path = await TcpPath.start();
    const { random } = seeded;
    for (let round = 0; round < ROUNDS; round++) {
      const [breaker, other] = await open(path);
      const pattern = new Pattern(stream++);
      const receiving = pattern.receiveToEnd(other);
      await pattern.send(breaker, Math.ceil(random() * MIB));
      breaker.reset();
      const { bytes, how } = await receiving;
      expect(how).toBe("ECONNRESET");
      expect(bytes).toBeLessThanOrEqual(pattern.sentBytes);
    }
  });

  test.concurrent("right behind its own FIN: the other reads a clean end, and can send no more", async () => {
    await using path = await TcpPath.start();
    for (let round = 0; round < ROUNDS; round++) {
      const [breaker, other] = await open(path);
      const pattern = new Pattern(stream++);
      await pattern.send(breaker, 20_000);
      breaker.finish();
      breaker.reset();
      expect(await pattern.receiveToEnd(other)).toEqual({ bytes: 20_000, how: "end" });
      expect(await sendUntilBroken(other, new Pattern(stream++))).toMatch(BROKEN);
    }
  });

  test.concurrent("both directions full", async () => {
    await using path = await TcpPath.start();
    const [breaker, other] = await open(path);
    const there = new Pattern(stream++);
    const back = new Pattern(stream++);
    await there.sendUntilStalled(breaker, STALL_MS);
    await back.sendUntilStalled(other, STALL_MS);
    breaker.reset();
    expect((await there.receiveToEnd(other)).how).toBe("ECONNRESET");
  });
});

describe.each(ORDERS)("%s resets", (_, open) => {
  test("an idle connection", async () => {
    const [breaker, other] = await open(path);
    await breaker.send("hello");
    expect(await other.receiveText(5)).toBe("hello");
    breaker.reset();
    const rest = await new Pattern(stream++).receiveToEnd(other);
    expect(rest).toEqual({ bytes: 0, how: "ECONNRESET" });
  });

  test("right behind its last bytes, all of which arrive", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [breaker, other] = await open(path);
      const pattern = new Pattern(stream++);
      await pattern.send(breaker, 5000);
      breaker.reset();
      // on loopback they have reached the proxy before the RST
      expect(await pattern.receiveToEnd(other)).toEqual({ bytes: 5000, how: "ECONNRESET" });
    }
  });

  test("while the other sends: the other learns of it", async () => {
    for (let round = 0; round < 10; round++) {
      const [breaker, other] = await open(path);
      const pattern = new Pattern(stream++);
      const sending = sendUntilBroken(other, pattern);
      await pattern.receive(breaker, MIB);
      breaker.reset();
      expect(await sending).toMatch(BROKEN);
    }
  });

  test("after its own FIN has been passed: the other learns of it without sending", async () => {
    const [breaker, other] = await open(path);
    await breaker.send("last words");
    breaker.finish();
    expect(await other.receiveRest()).toBe("last words");
    breaker.reset();
    expect(await other.failure()).toMatch(BROKEN);
  });

  test("after FIN, both while the other is slow: it gets every byte and learns of the reset", async () => {
    const [breaker, other] = await open(path);
    const pattern = new Pattern(stream++);
    await pattern.sendUntilStalled(breaker, STALL_MS);
    breaker.finish();
    await receiveUntilTaken(breaker, other, pattern);
    breaker.reset();
    expect(await pattern.receiveToEnd(other)).toEqual({ bytes: pattern.sentBytes, how: "end" });
    expect(await other.failure()).toMatch(BROKEN);
  });

  test("after FIN, which shows when the other writes: it still gets every byte and a clean end", async () => {
    const [breaker, other] = await open(path);
    const pattern = new Pattern(stream++);
    await pattern.sendUntilStalled(breaker, STALL_MS);
    breaker.finish();
    await receiveUntilTaken(breaker, other, pattern);
    breaker.close(); // its kernel answers every byte with RST: the proxy's first write goes, the next one fails
    await new Pattern(stream++).send(other, 100_000);
    expect(await pattern.receiveToEnd(other)).toEqual({ bytes: pattern.sentBytes, how: "end" });
    expect(await other.failure()).toMatch(BROKEN);
  });

  test("after FIN, and the other ends before it has read everything: it gets every byte", async () => {
    for (let round = 0; round < 10; round++) {
      const [breaker, other] = await open(path);
      const pattern = new Pattern(stream++);
      await pattern.send(breaker, 2 * MIB);
      breaker.finish();
      await waitFor(() => breaker.unacknowledgedBytes === 0, { what: "the proxy to have everything" });
      breaker.reset();
      other.finish();
      expect(await pattern.receiveToEnd(other)).toEqual({ bytes: 2 * MIB, how: "end" });
    }
  });

  test("with bytes in flight to a slow reader: it gets what the proxy had, then the error", async () => {
    const [breaker, other] = await open(path);
    const pattern = new Pattern(stream++);
    await pattern.sendUntilStalled(breaker, STALL_MS);
    breaker.reset();
    const { bytes, how } = await pattern.receiveToEnd(other);
    expect(how).toBe("ECONNRESET");
    expect(bytes).toBeLessThanOrEqual(pattern.sentBytes);
    expect(bytes).toBeGreaterThan(0);
  });
});

describe("the client resets before a task has accepted", () => {
  test("and the task gets nothing, or a connection that is reset", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const client = await path.connect();
      client.reset();
    }
    await path.allEnded();
    while (await path.listener.hasWaiting()) {
      const { how } = await new Pattern(stream++).receiveToEnd(await path.accept());
      expect(how).toBe("ECONNRESET");
    }
  });
});

describe("an early answer", () => {
  test("arrives whole when the task then closes with the upload unread", async () => {
    for (let round = 0; round < 20; round++) {
      const { client, task } = await path.open();
      const upload = sendUntilBroken(client, new Pattern(stream++));
      await task.receive();
      const answer = new Pattern(stream++);
      await answer.send(task, 100_000);
      task.close();
      const { bytes, how } = await answer.receiveToEnd(client);
      expect(bytes).toBe(100_000);
      expect(how).toMatch(/^(end|ECONNRESET)$/);
      expect(await upload).toMatch(BROKEN);
    }
  });

  test("arrives whole at a client that reads it late", async () => {
    const { client, task } = await path.open();
    const upload = new Pattern(stream++);
    await upload.sendUntilStalled(client, STALL_MS);
    const answer = new Pattern(stream++);
    await answer.send(task, 100_000);
    task.close();
    expect(await client.failure()).toMatch(BROKEN);
    expect((await answer.receiveToEnd(client)).bytes).toBe(100_000);
  });

  test("and a FIN of the task leave the upload going", async () => {
    const { client, task } = await path.open();
    await task.send("go on");
    task.finish();
    expect(await client.receiveRest()).toBe("go on");
    const upload = new Pattern(stream++);
    const sending = upload.send(client, 8 * MIB).then(() => client.finish());
    expect(await upload.receiveToEnd(task)).toEqual({ bytes: 8 * MIB, how: "end" });
    await sending;
  });
});

test("broken connections leave no descriptor behind, whatever they held", async () => {
  const idlePipes = 2 * 16;
  const before = readdirSync("/proc/self/fd").length;
  for (let round = 0; round < 40; round++) {
    const { client, task } = await path.open();
    const [breaker, other] = round % 2 === 0 ? [client, task] : [task, client];
    const sending = sendUntilBroken(breaker, new Pattern(stream++));
    await new Pattern(stream - 1).receive(other, MIB);
    if (round % 4 < 2) other.reset();
    else other.close();
    await sending;
    await path.closeAll();
  }
  expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before + idlePipes);
});
