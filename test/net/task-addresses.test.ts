/**
 * A service whose task has the published port itself, at an address of the same machine: the address is the task's,
 * whether its program runs or not, and the port is published at every other one.
 *
 *   test process .254 ── bridge ── .1 eth0 [ portmesh, program on 127.0.0.1 ]
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { MeshNode } from "../support/cluster/mesh-node.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 5432;
const ANSWER_MS = 1_000;
/** Not one of the machine at first. */
const SECOND_ADDRESS = "198.51.100.7";

describe.skipIf(lacksNamespaces() || lacks("socat", "ss"))("a task at a published port", () => {
  let network: Namespaces;
  let machine: NetworkNode;
  let node: MeshNode;
  const programs: Bun.Subprocess[] = [];

  beforeEach(() => {
    network = Namespaces.create(1);
    machine = network.nodes[0]!;
  });

  afterEach(async () => {
    for (const program of programs.splice(0)) program.kill("SIGKILL");
    await node.remove("task-addresses");
    network.close();
  });

  async function start(services: string): Promise<void> {
    const { name, address, wrapper } = machine;
    node = new MeshNode({ name, address, wrapper }, services);
    await node.start();
  }

  /** Where the machine listens on `port`: "127.0.0.1", "[::1]", "*" for both families; each once. */
  async function listenersOn(protocol: "tcp" | "udp", port = PORT): Promise<string[]> {
    const table = await machine.run(findProgram("ss")!, "-Hln", `--${protocol}`, `sport = :${port}`);
    const addresses = table
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.trim().split(/\s+/)[3]!);
    return [...new Set(addresses.map((address) => address.slice(0, address.lastIndexOf(":"))))].sort();
  }

  /** Runs a program that echoes; it fails unless the address is free. */
  async function startEcho(protocol: "tcp" | "udp", address: string): Promise<Bun.Subprocess> {
    const version = address.includes(":") ? 6 : 4;
    const at = version === 6 ? `[${address}]` : address;
    const from =
      protocol === "tcp"
        ? `TCP${version}-LISTEN:${PORT},bind=${at},fork,reuseaddr`
        : `UDP${version}-RECVFROM:${PORT},bind=${at},fork`;
    const child = Bun.spawn([...machine.wrapper, findProgram("socat")!, from, "EXEC:cat"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    programs.push(child);
    const isBound = async () => (await listenersOn(protocol)).includes(at);
    await waitFor(async () => child.exitCode !== null || (await isBound()), { what: `socat on ${at}` });
    expect(child.exitCode).toBeNull();
    return child;
  }

  describe.each(["tcp", "udp"] as const)("%s", (protocol) => {
    const db = (...tasks: string[]) => serviceFile({ name: "db", publish: [`${PORT}/${protocol}`], tasks });

    test("keeps its address while its program is away, and serves the others", async () => {
      await start(db("127.0.0.1"));
      expect(await listenersOn(protocol)).toEqual([machine.address, "[::]"].sort());
      const program = await startEcho(protocol, "127.0.0.1");
      expect(await isEchoed(protocol, machine.address)).toBe(true);
      await end(program);
      await waitFor(async () => !(await isEchoed(protocol, machine.address)), {
        what: "the program to be away",
      });
      const descriptors = descriptorsOf(node.pid);
      await startEcho(protocol, "127.0.0.1");
      await waitFor(() => isEchoed(protocol, machine.address), { what: "the program to be back" });
      expect(descriptorsOf(node.pid)).toBeLessThan(descriptors + 50);
    });

    test("that gives its address to the machine later, and a service after a reload, have it too", async () => {
      await start(db(SECOND_ADDRESS));
      expect(await listenersOn(protocol)).toEqual(["*"]);
      await machine.run(findProgram("ip")!, "address", "add", `${SECOND_ADDRESS}/32`, "dev", "lo");
      await waitFor(
        async () =>
          (await listenersOn(protocol)).join() === ["127.0.0.1", machine.address, "[::]"].sort().join(),
        {
          what: "the new address to be left to the task",
        },
      );
      const program = await startEcho(protocol, SECOND_ADDRESS);
      expect(await isEchoed(protocol, machine.address)).toBe(true);
      await end(program);
      await node.reload(db("::1"));
      expect(await listenersOn(protocol)).toEqual(["0.0.0.0"]);
    });
  });

  test("is shown where its address is not listened on", async () => {
    await start(serviceFile({ name: "db", publish: [`${PORT}`, `${PORT}/udp`], tasks: ["0.0.0.0"] }));
    const { stdout } = await node.command("status");
    expect(stdout.replace(/\s+/g, " ")).toContain(
      `not listening on 127.0.0.1 for ${PORT}:${PORT}/tcp ${PORT}:${PORT}/udp: task 0.0.0.0 of db has this address and port`,
    );
  });
});

/** Over IPv4: whether what is sent to PORT comes back. */
async function isEchoed(protocol: "tcp" | "udp", address: string): Promise<boolean> {
  return (protocol === "tcp" ? await firstAnswerByTcp(address) : await firstAnswerByUdp(address)) === "hello";
}

function firstAnswerByTcp(address: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(PORT, address, () => socket.write("hello"));
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("data", (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(null));
  });
}

async function firstAnswerByUdp(address: string): Promise<string | null> {
  const client = await UdpPeer.open("0.0.0.0");
  client.send("hello", PORT, address);
  const isAnswered = waitFor(() => client.received.length > 0, { what: "an answer", deadlineMs: ANSWER_MS });
  const answer = await isAnswered.then(
    () => client.texts[0]!,
    () => null,
  );
  client.close();
  return answer;
}

async function end(program: Bun.Subprocess): Promise<void> {
  program.kill("SIGKILL");
  await program.exited;
}
