/** Signals to the compiled node: while it starts, while it runs, and those that other programs use for themselves. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { request } from "../support/load/http-load.ts";
import { WebNode } from "../support/node/web-node.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const STARTS = { SIGHUP: 20, SIGTERM: 20, SIGINT: 5 } as const;
/** A start takes about that long on an idle machine. */
const START_MS = 150;
const SIGHUP = 1;
const SIGTERM = 15;

let web: WebNode;

beforeEach(async () => {
  web = await WebNode.create();
});

afterEach(() => web[Symbol.asyncDispose]());

/** Resolves as soon as the process has a handler; what comes before, the runtime's own start, no program can catch. */
async function handles(signal: number): Promise<void> {
  const file = `/proc/${web.process.child.pid}/status`;
  await waitFor(
    () => {
      const mask = BigInt(`0x${/^SigCgt:\s*(\w+)/m.exec(readFileSync(file, "utf8"))?.[1]}`);
      return ((mask >> BigInt(signal - 1)) & 1n) === 1n;
    },
    { what: `a handler for signal ${signal}` },
  );
}

test("SIGHUP while starting, at any moment, ends nothing and reloads", async () => {
  const random = Seeded.fromEnvironment();
  for (let start = 0; start < STARTS.SIGHUP; start++) {
    web.start();
    await handles(SIGHUP);
    await Bun.sleep(random.below(START_MS));
    web.process.child.kill("SIGHUP");
    await web.process.serves();
    expect((await request("127.0.0.1", web.published)).body).toBe("task");
    expect(await web.process.stop()).toBe(0);
  }
});

test("SIGHUP all the time while starting: a reload once it serves", async () => {
  web.start();
  await handles(SIGHUP);
  const storm = setInterval(() => web.process.child.kill("SIGHUP"), 1);
  await web.process.serves().finally(() => clearInterval(storm));
  await waitFor(() => web.process.log.includes('"trigger":"signal"'), { what: "the reload" });
  expect((await request("127.0.0.1", web.published)).body).toBe("task");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} while starting, at any moment, ends it cleanly`, async () => {
    const random = Seeded.fromEnvironment();
    for (let start = 0; start < STARTS[signal]; start++) {
      web.start();
      await handles(SIGTERM);
      await Bun.sleep(random.below(START_MS));
      web.process.child.kill(signal);
      expect(await web.process.child.exited).toBe(0);
      expect(existsSync(web.process.socket)).toBe(false);
      expect((await request("127.0.0.1", web.published)).error).toContain("ECONNREFUSED");
    }
  });
}

test("SIGUSR1, SIGUSR2 and SIGPIPE end nothing; ignored signals are logged", async () => {
  web.start();
  await web.process.serves();
  const client = connect(web.published, "127.0.0.1");
  const isEnded = new Promise((resolve) => client.once("close", resolve));
  client.on("error", () => undefined);
  await new Promise((resolve) => client.once("connect", resolve));
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGPIPE"] as const) web.process.child.kill(signal);
  for (const signal of ["SIGUSR1", "SIGUSR2"])
    await waitFor(() =>
      web.process.log.includes(`${signal} ignored: SIGHUP reloads, SIGTERM drains and stops`),
    );
  expect(await Promise.race([isEnded, Promise.resolve("open")])).toBe("open");
  expect((await request("127.0.0.1", web.published)).body).toBe("task");
  client.destroy();
  expect(await web.process.stop()).toBe(0);
});
