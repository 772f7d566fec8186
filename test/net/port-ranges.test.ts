/** Ranges of ports: more than there are descriptors for, and such as another program has. */
import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { MeshNode } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { EXECUTABLE } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const LIMIT = 2_000;
/** Below the ports that connections get, so that none of them is in the way. */
const FIRST_PORT = 21_000;

let node: MeshNode;
let web: HttpTask;
const squatters: UdpPeer[] = [];

afterEach(async () => {
  for (const squatter of squatters.splice(0)) squatter.close();
  await node.remove("port-ranges");
  await web.stop();
});

const limited = () => [findProgram("prlimit")!, `--nofile=${LIMIT}:${LIMIT}`];

async function start(...services: string[]): Promise<number> {
  web = startNamedTask("web");
  const port = await freePort();
  node = new MeshNode({ name: "n1", address: "127.0.0.1", wrapper: limited() }, "");
  node.file = fileOf(port, ...services);
  await node.start();
  return port;
}

function fileOf(port: number, ...services: string[]): string {
  const dataDirectory = JSON.stringify(join(node.directory, "data"));
  const own = serviceFile({ name: "web", publish: [`${port}:${web.port}`], tasks: ["127.0.0.1"] });
  return [
    `[node]\ndata_dir = ${dataDirectory}\n[proxy]\nworkers = 2\nbind = ["127.0.0.1"]`,
    own,
    ...services,
  ].join("\n");
}

const range = (count: number) => `${FIRST_PORT}-${FIRST_PORT + count - 1}`;

test.skipIf(lacks("prlimit"))(
  "a range that takes more descriptors than there are is refused, and nothing else suffers",
  async () => {
    const port = await start();
    const wide = serviceFile({ name: "rtp", publish: [`${range(1_000)}/udp`], tasks: ["127.0.0.1:9"] });
    const figures =
      /1001 ports × 1 address × 2 workers need 2002 descriptors, and \d+ of the limit of 2000 are for listening/;

    const { outcome, problems } = await node.reload(fileOf(port, wide));
    expect([outcome, problems[0]?.key, problems[0]?.message]).toEqual([
      "refused",
      "services",
      expect.stringMatching(figures),
    ]);
    const create = ["service", "create", "--name", "rtp", "--publish", `${range(1_000)}:${range(1_000)}/udp`];
    const created = await node.command(...create, "--task", "127.0.0.1:9");
    expect([created.exitCode, created.stderr]).toEqual([1, expect.stringMatching(figures)]);
    const file = join(node.directory, "wide.toml");
    writeFileSync(file, fileOf(port, wide));
    const check = Bun.spawn([...limited(), EXECUTABLE, "check", "-c", file], { env: {}, stderr: "pipe" });
    expect(await check.stderr.text()).toMatch(figures);
    expect(await check.exited).toBe(2);

    expect((await request("127.0.0.1", port)).body).toBe("web");
    expect((await node.status()).storeError).toBeNull();
    expect((await node.reload(fileOf(port, wide.replace(range(1_000), range(200))))).outcome).toBe("applied");
  },
);

test.skipIf(lacks("prlimit"))(
  "a range of which another program has a part is one line of log, status and reload",
  async () => {
    for (let index = 10; index < 30; index++)
      squatters.push(await UdpPeer.open("127.0.0.1", FIRST_PORT + index));
    const port = await start();
    const rtp = serviceFile({ name: "rtp", publish: [`${range(50)}/udp`], tasks: ["127.0.0.1:9"] });
    const part = `127.0.0.1:${FIRST_PORT + 10}-${FIRST_PORT + 29}/udp`;
    let logLength = 0;
    const reload = async (services: string) => {
      logLength = node.log.length;
      node.file = fileOf(port, services);
      const head = `[admin]\nsocket = "${node.socket}"\n`;
      writeFileSync(join(node.directory, "portmesh.toml"), head + node.file);
      return (await node.command("reload")).stdout;
    };
    let stdout = await reload(rtp);
    // on a busy machine the watch is quicker than the command, which then has nothing to tell
    await waitFor(
      async () => {
        if (stdout !== "no change\n") return true;
        await node.reload(fileOf(port, ""));
        stdout = await reload(rtp);
        return false;
      },
      { what: "the command to be the one that reloads" },
    );
    expect(stdout).toContain(`! cannot listen on ${part}: another program uses it`);
    expect(linesWith(stdout, "+ listener")).toHaveLength(1);
    await waitFor(() => node.log.includes(part, logLength), { what: "the line of log" });
    expect(linesWith(node.log.slice(logLength), "cannot listen on")).toHaveLength(1);
    expect(linesWith((await node.command("status")).stdout, "ERROR cannot")).toHaveLength(1);

    for (const squatter of squatters.splice(0)) squatter.close();
    await waitFor(() => node.log.includes("now listening"), { what: "the ports to be opened" });
    const [line, ...more] = linesWith(node.log, "now listening");
    expect([line, more]).toEqual([
      expect.stringContaining(`ports ${FIRST_PORT + 10}-${FIRST_PORT + 29}`),
      [],
    ]);
  },
);

function linesWith(text: string, part: string): string[] {
  return text.split("\n").filter((line) => line.includes(part));
}
