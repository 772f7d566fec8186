/** Signals to the compiled node: while it starts, while it runs, and those that other programs use for themselves. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const STARTS = { SIGHUP: 20, SIGTERM: 20, SIGINT: 5 } as const;
/** A start takes about that long on an idle machine. */
const START_MS = 150;
const SIGHUP = 1;
const SIGTERM = 15;

let directory: TempDir;
let task: HttpTask;
let services: string;
let published: number;
let node: NodeProcess;

beforeEach(async () => {
  directory = tempDir();
  task = startNamedTask("task");
  published = await freePort();
  services = `[[services]]\nname = "web"\npublish = ["${published}:${task.port}"]\ntasks = ["127.0.0.1"]\n`;
});

afterEach(async () => {
  await node.kill();
  await task.stop();
  directory[Symbol.dispose]();
});

/** Resolves as soon as the process has a handler; what comes before, the runtime's own start, no program can catch. */
async function handles(signal: number): Promise<void> {
  const file = `/proc/${node.child.pid}/status`;
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
    node = NodeProcess.startIn(directory.path, services);
    await handles(SIGHUP);
    await Bun.sleep(random.below(START_MS));
    node.child.kill("SIGHUP");
    await node.serves();
    expect((await request("127.0.0.1", published)).body).toBe("task");
    expect(await node.stop()).toBe(0);
  }
});

test("SIGHUP all the time while starting: a reload once it serves", async () => {
  node = NodeProcess.startIn(directory.path, services);
  await handles(SIGHUP);
  const storm = setInterval(() => node.child.kill("SIGHUP"), 1);
  await node.serves().finally(() => clearInterval(storm));
  await waitFor(() => node.log.includes('"trigger":"signal"'), { what: "the reload" });
  expect((await request("127.0.0.1", published)).body).toBe("task");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} while starting, at any moment, ends it cleanly`, async () => {
    const random = Seeded.fromEnvironment();
    for (let start = 0; start < STARTS[signal]; start++) {
      node = NodeProcess.startIn(directory.path, services);
      await handles(SIGTERM);
      await Bun.sleep(random.below(START_MS));
      node.child.kill(signal);
      expect(await node.child.exited).toBe(0);
      expect(existsSync(node.socket)).toBe(false);
      expect((await request("127.0.0.1", published)).error).toContain("ECONNREFUSED");
    }
  });
}

test("SIGUSR1, SIGUSR2 and SIGPIPE end nothing; ignored signals are logged", async () => {
  node = NodeProcess.startIn(directory.path, services);
  await node.serves();
  const client = connect(published, "127.0.0.1");
  const isEnded = new Promise((resolve) => client.once("close", resolve));
  client.on("error", () => undefined);
  await new Promise((resolve) => client.once("connect", resolve));
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGPIPE"] as const) node.child.kill(signal);
  for (const signal of ["SIGUSR1", "SIGUSR2"])
    await waitFor(() => node.log.includes(`${signal} ignored: SIGHUP reloads, SIGTERM drains and stops`));
  expect(await Promise.race([isEnded, Promise.resolve("open")])).toBe("open");
  expect((await request("127.0.0.1", published)).body).toBe("task");
  client.destroy();
  expect(await node.stop()).toBe(0);
});
