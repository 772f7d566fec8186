/** A node whose standard output and error nobody reads: pipe, socket, terminal, full disk. */
import { afterEach, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeStatus } from "../../src/node/index.ts";
import { openOutput } from "../../src/sys/output.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { EXECUTABLE, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { outputKinds } from "../support/os/stdio-kinds.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** Far above what they take, far below for ever. */
const PROMPT_MS = 30_000;

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

async function startNode(outputFd: number, format: string) {
  const directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
  const socket = join(directory, "portmesh.sock");
  const file = join(directory, "portmesh.toml");
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") });
  const [published, other] = (await freePorts(2)) as [number, number];
  const write = (port: number) =>
    writeFileSync(
      file,
      `[admin]\nsocket = "${socket}"\n[node]\ndata_dir = "${file}.data"\n[log]\nconnections = "all"\nformat = "${format}"\n` +
        `[[services]]\nname = "web"\npublish = ["${port}:${server.port}"]\ntasks = ["127.0.0.1"]\n`,
    );
  write(published);
  const child = Bun.spawn([EXECUTABLE, "run", "-c", file], {
    cwd: directory,
    env: {},
    stdio: ["ignore", outputFd, outputFd],
  });
  cleanUps.push(() => {
    child.kill("SIGKILL");
    void server.stop(true);
    rmSync(directory, { recursive: true, force: true });
  });
  const status = async (): Promise<NodeStatus> => {
    const response = await fetch("http://portmesh/v1/status", {
      unix: socket,
      signal: AbortSignal.timeout(PROMPT_MS),
    });
    return (await response.json()) as NodeStatus;
  };
  await waitFor(async () => (await status().catch(() => null))?.state === "serving", {
    what: "the node to serve",
  });
  return { child, file, socket, published, other, write, status };
}

type Started = Awaited<ReturnType<typeof startNode>>;

/** Connections, a line each, until lines are dropped. */
async function blockLog({ published, status }: Started): Promise<void> {
  const load = new HttpLoad("127.0.0.1", published, 32);
  await waitFor(async () => (await status()).logLoss !== null, { deadlineMs: 60_000, what: "dropped lines" });
  await load.stop();
  expect(load.failures).toEqual([]);
}

async function expectNothingWaits(node: Started): Promise<void> {
  expect((await portmesh("status", "--socket", node.socket)).stdout).toContain("dropped");
  node.write(node.other);
  expect((await portmesh("reload", "--socket", node.socket)).exitCode).toBe(0);
  expect((await request("127.0.0.1", node.other)).error).toBeNull();
}

async function expectPromptEnd({ child }: Started): Promise<void> {
  child.kill("SIGTERM");
  expect(await Promise.race([child.exited, Bun.sleep(PROMPT_MS).then(() => "still running")])).toBe(0);
}

for (const [kind, format] of [
  ["pipe", "json"],
  ["socket", "json"],
  ["terminal", "pretty"],
] as const) {
  test(`${kind} without a reader: nothing waits, and the node ends on SIGTERM`, async () => {
    using pair = outputKinds[kind]();
    const node = await startNode(pair.writeFd, format);
    await blockLog(node);
    await expectNothingWaits(node);
    expect(pair.isWriteEndNonBlocking).toBe(false);
    await expectPromptEnd(node);
  });
}

test("once the reader is back it gets what was kept, the count of what was dropped, and what comes then", async () => {
  using pair = outputKinds.pipe();
  const node = await startNode(pair.writeFd, "json");
  await blockLog(node);
  const { lines: atLeast } = (await node.status()).logLoss!;
  let text = "";
  await waitFor(
    async () => {
      text += pair.read();
      return (await node.status()).logLoss === null && text.includes("dropped");
    },
    { what: "the count of dropped lines" },
  );
  await expect(portmesh("reload", "--socket", node.socket)).resolves.toMatchObject({ exitCode: 0 });
  node.child.kill("SIGTERM");
  expect(await node.child.exited).toBe(0);
  text += pair.read();
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { msg: string; level: string; lost?: number });
  const loss = lines.filter((line) => line.lost !== undefined);
  expect(loss).toHaveLength(1);
  expect(loss[0]!.lost).toBeGreaterThanOrEqual(atLeast);
  expect(loss[0]!.msg).toContain("log lines were dropped: standard output was blocked");
  expect(lines.at(-1)!.msg).toContain("stopped");
});

test("a full disk costs log lines only", async () => {
  const full = openSync("/dev/full", "w");
  cleanUps.push(() => closeSync(full));
  const node = await startNode(full, "json");
  await blockLog(node);
  expect((await node.status()).logLoss!.reason).toBe("no space left on device");
  await expectNothingWaits(node);
  await expectPromptEnd(node);
});

test("a node that cannot start ends, also without a reader of its log", async () => {
  using pair = outputKinds.pipe();
  const node = await startNode(pair.writeFd, "json");
  using full = outputKinds.pipe();
  const output = openOutput(full.writeFd);
  while (output.write(Buffer.alloc(4096)) > 0);
  const second = Bun.spawn([EXECUTABLE, "run", "-c", node.file], {
    env: {},
    stdio: ["ignore", full.writeFd, full.writeFd],
  });
  cleanUps.push(() => second.kill("SIGKILL"));
  expect(await Promise.race([second.exited, Bun.sleep(PROMPT_MS).then(() => "still running")])).toBe(1);
});
