/**
 * Every byte arrives once, in order, unchanged, on its own connection, whatever the sizes and however slow the reader.
 * The sizes lie around the border where the proxy goes over from copying to splice (16 KiB). Random sizes come from
 * SEED, which is printed.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Pattern } from "../support/load/pattern.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { TcpPath } from "../support/proxy/tcp-path.ts";
import { Seeded } from "../support/random/seed.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SIZES = [1, 2, 1023, 1024, 1025, 4096]
  .concat(16_383, 16_384, 16_385, 32_767, 32_768, 32_769)
  .concat(65_535, 65_536, 65_537, MIB);

let seeded: Seeded;
let path: TcpPath;
let stream = 0;

beforeAll(async () => {
  seeded = Seeded.fromEnvironment();
  path = await TcpPath.start();
});
afterEach(() => path.closeAll());
afterAll(() => path.stop());

function nextPattern(): Pattern {
  return new Pattern(stream++);
}

/** How long rounds of a conversation take. */
class Rounds {
  readonly #tookMs: number[] = [];
  #startMs = performance.now();

  end(): void {
    const nowMs = performance.now();
    this.#tookMs.push(nowMs - this.#startMs);
    this.#startMs = nowMs;
  }

  /** A delayed acknowledgement costs 40 ms, in every round; a machine that is busy makes only some of them long. */
  expectNoStall(): void {
    const ascending = this.#tookMs.toSorted((a, b) => a - b);
    expect(ascending[Math.floor(ascending.length / 10)]).toBeLessThan(40);
  }
}

/** One direction from its first byte to FIN. */
async function transfer(from: RawSocket, to: RawSocket, bytes: number): Promise<void> {
  const pattern = nextPattern();
  const sending = pattern.send(from, bytes).then(() => from.finish());
  expect(await pattern.receiveToEnd(to)).toEqual({ bytes, how: "end" });
  await sending;
}

describe("one message", () => {
  test("of every size arrives whole, to the task and to the client", async () => {
    for (const size of SIZES) {
      const { client, task } = await path.open();
      await transfer(client, task, size);
      await transfer(task, client, size);
    }
  });

  test("after another of any size arrives whole, and at once", async () => {
    const { client, task } = await path.open();
    const toTask = nextPattern();
    const toClient = nextPattern();
    for (const size of [...SIZES, ...SIZES.toReversed()]) {
      await Promise.all([toTask.send(client, size), toTask.receive(task, size)]);
      await Promise.all([toClient.send(task, size), toClient.receive(client, size)]);
    }
  });
});

describe("a long stream", () => {
  test("of 64 MiB in both directions at once", async () => {
    const { client, task } = await path.open();
    await Promise.all([transfer(client, task, 64 * MIB), transfer(task, client, 64 * MIB)]);
  });

  test("of 1 GiB to the task", async () => {
    const { client, task } = await path.open();
    await transfer(client, task, GIB);
  });
});

test("random mixes of tiny and huge writes come back from an echo task", async () => {
  const { random } = seeded;
  const sizes = [1, 10, 1000, 16_384, 16_385, 200_000];
  const nextLength = () => Math.ceil(random() * sizes[Math.floor(random() * sizes.length)]!);
  for (let round = 0; round < 8; round++) {
    const { client, task } = await path.open();
    const there = nextPattern();
    const back = new Pattern(there.stream);
    const bytes = Math.ceil(random() * 4 * MIB);
    const echo = there.receiveToEnd(task, {
      maxLength: 1000 + nextLength(),
      onProgress: (received) => back.send(task, received - back.sentBytes),
    });
    const sending = there.send(client, bytes, { nextLength }).then(() => client.finish());
    const receiving = back.receiveToEnd(client);
    await sending;
    expect(await echo).toEqual({ bytes, how: "end" });
    task.finish();
    expect(await receiving).toEqual({ bytes, how: "end" });
  }
});

test("50 connections at once over two workers do not mix", async () => {
  const wide = await TcpPath.start(2);
  try {
    // a connection's first byte names it: which accepted socket is whose is not known otherwise
    const clients = await Promise.all(Array.from({ length: 50 }, () => wide.connect()));
    await Promise.all(clients.map((client, index) => client.send(Uint8Array.of(index))));
    await Promise.all(
      clients.map(async () => {
        const task = await wide.accept();
        const index = (await task.receive(1))[0]!;
        const bytes = (index + 1) * 20_011;
        await Promise.all([
          transfer(clients[index]!, task, bytes),
          transfer(task, clients[index]!, bytes + 1),
        ]);
      }),
    );
    await wide.closeAll();
  } finally {
    await wide.stop();
  }
});

/** What two connections' send and receive buffers can hold, and one pipe. */
function maxBufferedBytes(): number {
  const [sendBytes, receiveBytes] = ["wmem", "rmem"].map((name) =>
    Number(readFileSync(`/proc/sys/net/ipv4/tcp_${name}`, "utf8").trim().split(/\s+/)[2]),
  ) as [number, number];
  return 2 * (sendBytes + receiveBytes) + MIB;
}

test("readers that are stuck, more than the pool keeps pipes for, get everything when they read on, in any order", async () => {
  const count = 80;
  const narrow = await TcpPath.start(1, { bufferBytes: 32 * KIB });
  try {
    const stuck = [];
    for (let i = 0; i < count; i++) {
      const { client, task } = await narrow.open();
      const pattern = nextPattern();
      await pattern.sendUntilStalled(client, 10);
      stuck.push({ client, task, pattern });
    }
    // some never read on: what the proxy holds for them must not reach the others
    const gone = stuck.filter((_, index) => index % 4 === 0);
    for (const { client, task } of gone) {
      client.reset();
      task.reset();
    }
    const others = stuck.filter((one) => !gone.includes(one)).reverse();
    await Promise.all(
      others.map(async ({ client, task, pattern }) => {
        const sending = pattern.send(client, MIB).then(() => client.finish());
        expect(await pattern.receiveToEnd(task)).toEqual({ bytes: pattern.sentBytes, how: "end" });
        await sending;
      }),
    );
    await narrow.closeAll();
  } finally {
    await narrow.stop();
  }
});

describe("a slow reader", () => {
  const STALL_MS = 300;
  const BUFFER_BYTES = 64 * KIB;

  test("stops the sender, and gets everything when it reads on", async () => {
    const narrow = await TcpPath.start(1, { bufferBytes: BUFFER_BYTES });
    try {
      const { client, task } = await narrow.open({ bufferBytes: BUFFER_BYTES });
      for (const [from, to] of [
        [client, task],
        [task, client],
      ] as const) {
        const before = process.memoryUsage.rss();
        const pattern = nextPattern();
        await pattern.sendUntilStalled(from, STALL_MS);
        expect(pattern.sentBytes).toBeLessThan(16 * MIB);
        expect(process.memoryUsage.rss() - before).toBeLessThan(32 * MIB);
        await pattern.receive(to, pattern.sentBytes);
        await Promise.all([pattern.send(from, 8 * MIB), pattern.receive(to, 8 * MIB)]);
      }
      await narrow.closeAll();
    } finally {
      await narrow.stop();
    }
  });

  test("that never reads stops the sender with the buffers that the kernel tunes, too", async () => {
    const { client } = await path.open();
    const before = process.memoryUsage.rss();
    const pattern = nextPattern();
    await pattern.sendUntilStalled(client, STALL_MS);
    console.log(
      `a reader that never reads stops its sender after ${Math.round(pattern.sentBytes / KIB)} KiB`,
    );
    expect(pattern.sentBytes).toBeLessThan(maxBufferedBytes());
    expect(process.memoryUsage.rss() - before).toBeLessThan(32 * MIB);
  });

  test("of tiny pieces loses nothing", async () => {
    const { client, task } = await path.open({ bufferBytes: BUFFER_BYTES });
    const pattern = nextPattern();
    const sending = pattern.send(task, MIB).then(() => task.finish());
    expect(await pattern.receiveToEnd(client, { maxLength: 777 })).toEqual({ bytes: MIB, how: "end" });
    await sending;
  });

  test("does not hold up the other direction", async () => {
    const { client, task } = await path.open();
    const stuck = nextPattern();
    await stuck.sendUntilStalled(client, STALL_MS);
    const answer = nextPattern();
    await Promise.all([answer.send(task, 8 * MIB), answer.receive(client, 8 * MIB)]);
    client.finish();
    expect(await stuck.receiveToEnd(task)).toEqual({ bytes: stuck.sentBytes, how: "end" });
  });
});

describe("a conversation", () => {
  test("that the task opens (a banner)", async () => {
    const { client, task } = await path.open();
    await task.send("220 ready\r\n");
    expect(await client.receiveText(11)).toBe("220 ready\r\n");
    await client.send("HELO\r\n");
    expect(await task.receiveText(6)).toBe("HELO\r\n");
  });

  test("of single bytes, 1000 times there and back, does not stall", async () => {
    const { client, task } = await path.open();
    const rounds = new Rounds();
    for (let i = 0; i < 1000; i++) {
      await client.send(Uint8Array.of(i & 0xff));
      expect((await task.receive())[0]).toBe(i & 0xff);
      await task.send(Uint8Array.of((i * 3) & 0xff));
      expect((await client.receive())[0]).toBe((i * 3) & 0xff);
      rounds.end();
    }
    rounds.expectNoStall();
  });

  test("of two short messages before every answer does not stall", async () => {
    const { client, task } = await path.open();
    const rounds = new Rounds();
    for (let i = 0; i < 50; i++) {
      for (const [from, to] of [
        [client, task],
        [task, client],
      ] as const) {
        await from.send("head");
        expect(await to.receiveText(4)).toBe("head");
        await from.send("body");
        expect(await to.receiveText(4)).toBe("body");
      }
      rounds.end();
    }
    rounds.expectNoStall();
  });
});

describe("an urgent byte", () => {
  test("arrives in line, and nothing stalls", async () => {
    const { client, task } = await path.open();
    for (const [from, to] of [
      [client, task],
      [task, client],
    ] as const) {
      await from.send("before ");
      from.sendUrgent(0x21);
      await from.send(" after");
      expect(await to.receiveText(14)).toBe("before ! after");
      await from.send(" and on");
      expect(await to.receiveText(7)).toBe(" and on");
    }
  });

  test("as the very first byte and as the very last", async () => {
    const { client, task } = await path.open();
    client.sendUrgent(0x3c);
    await client.send("text");
    client.sendUrgent(0x3e);
    client.finish();
    expect(await task.receiveRest()).toBe("<text>");
  });

  test("right behind another: none is lost", async () => {
    const { client, task } = await path.open();
    for (const [from, to] of [
      [client, task],
      [task, client],
    ] as const) {
      for (let i = 0; i < 10; i++) from.sendUrgent(0x30 + i);
      await from.send(".");
      expect(await to.receiveText(11)).toBe("0123456789.");
    }
  });

  test("in the middle of a fast stream, FIN right behind", async () => {
    for (let round = 0; round < 10; round++) {
      const { client, task } = await path.open();
      const pattern = nextPattern();
      const bytes = 2 * MIB + round;
      const sending = pattern.send(client, bytes).then(async () => {
        client.sendUrgent(0x21);
        await client.send("end");
        client.finish();
      });
      await pattern.receive(task, bytes);
      expect(await task.receiveRest()).toBe("!end");
      await sending;
    }
  });
});
