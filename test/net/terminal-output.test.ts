/** Names that other nodes claim are logged and printed: they must not move the cursor, fake a line or set a title. */
import { afterEach, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeStatus } from "../../src/node/index.ts";
import { encodeMessage, framePacket } from "../../src/wire/gossip/index.ts";
import { EXECUTABLE, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { outputKinds } from "../support/os/stdio-kinds.ts";
import { waitFor } from "../support/time/wait-for.ts";

const VERSIONS = Uint8Array.of(1, 5, 2, 2, 5, 5);
/** Bytes are Latin-1 characters on the wire: \x9b starts an escape sequence in a terminal, as ESC [ does. */
const SHOWN = { "color\x9b31m": "color\\u009b31m", "title\x9d0;x\x9c": "title\\u009d0;x\\u009c" };
const REFUSED = ["red\x1b[31m", "line\nfake", "back\b\b", "delete\x7f"];

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

test("names with control characters reach neither a terminal nor the log as they are", async () => {
  using terminal = outputKinds.terminal();
  const directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
  const [file, socket] = [join(directory, "portmesh.toml"), join(directory, "portmesh.sock")];
  const [port] = (await freePorts(1)) as [number];
  writeFileSync(
    file,
    `[admin]\nsocket = "${socket}"\n[node]\nname = "n1"\ndata_dir = "${directory}/data"\n[log]\nlevel = "debug"\n` +
      `[cluster]\nbind = "127.0.0.1:${port}"\ninsecure = true\n[overlay]\ndriver = "none"\n`,
  );
  const child = Bun.spawn([EXECUTABLE, "run", "-c", file], {
    env: {},
    stdio: ["ignore", terminal.writeFd, terminal.writeFd],
  });
  cleanUps.push(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  const status = async () =>
    (await (await fetch("http://portmesh/v1/status", { unix: socket })).json()) as NodeStatus;
  await waitFor(async () => (await status().catch(() => null))?.state === "serving", {
    what: "the node to serve",
  });

  const stranger = createSocket("udp4");
  cleanUps.push(() => stranger.close());
  const options = { keyring: null, nonce: () => new Uint8Array(12), withCrc: false };
  for (const node of [...REFUSED, ...Object.keys(SHOWN), "last"]) {
    const address = Uint8Array.of(127, 0, 0, 9);
    const meta = new Uint8Array();
    const message = {
      type: "alive",
      incarnation: 1,
      node,
      address,
      port: 1,
      meta,
      versions: VERSIONS,
    } as const;
    stranger.send(framePacket([encodeMessage(message)], options), port, "127.0.0.1");
  }
  await waitFor(async () => (await status()).cluster?.members.some(({ name }) => name === "last") === true, {
    what: "the last name",
  });
  const { members, gossip } = (await status()).cluster!;
  expect(members.map(({ name }) => name).sort()).toEqual([...Object.keys(SHOWN), "last", "n1"].sort());
  expect(gossip.droppedTotal["bad-name"]).toBe(REFUSED.length);

  for (const command of [["status"], ["node", "ls"], ["doctor"], ["status", "--json"]]) {
    const { stdout, stderr } = await portmesh(...command, "--socket", socket);
    expect(stdout + stderr).not.toMatch(/[^\P{Cc}\n]/u);
    if (command[0] !== "doctor") for (const shown of Object.values(SHOWN)) expect(stdout).toContain(shown);
    if (command.includes("--json")) expect(JSON.parse(stdout).cluster.members).toHaveLength(members.length);
  }
  let log = "";
  await waitFor(
    () => {
      log += terminal.read();
      return log.includes("node last is alive");
    },
    { what: "the log to tell of the last name" },
  );
  for (const shown of Object.values(SHOWN)) expect(log).toContain(`node ${shown} is alive`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colors of the log itself
  expect(log.replaceAll(/\x1b\[\d+m/g, "")).not.toMatch(/[^\P{Cc}\r\n]/u);
});
