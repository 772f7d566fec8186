/**
 * One container takes over from another that shares its data_dir and network, and nothing else: each has its own /run with
 * its admin socket, its own process ids, and the directory under a path of its own.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { BareContainer } from "../support/container/bare-container.ts";
import { HeldConnection } from "../support/load/held-connection.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { lacksNamespaces } from "../support/network/namespaces.ts";
import { takeOverFrom } from "../support/node/fake-successor.ts";
import { portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

let directory: TempDir;
let containers: BareContainer[];
let task: WebTask;
let echo: Bun.TCPSocketListener;
let ports: { web: number; echo: number };

beforeEach(async () => {
  directory = tempDir();
  containers = [];
  mkdirSync(directory.file("volume"));
  const [target, web, echoPublished] = (await freePorts(3)) as [number, number, number];
  ports = { web, echo: echoPublished };
  task = await startWebTask("task", target);
  echo = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, data) => void socket.write(data) },
  });
});

afterEach(async () => {
  for (const container of containers) await container.kill();
  echo.stop(true);
  await task.kill();
  directory[Symbol.dispose]();
});

/** @param node its name */
function start(name: string, args: readonly string[] = [], node = "edge-1"): BareContainer {
  const mountPoint = `/run/state-of-${name}`;
  const service = (of: string, published: number, target: number) =>
    `[[services]]\nname = "${of}"\npublish = ["${published}:${target}"]\nbind = ["127.0.0.1"]\n` +
    `drain_timeout = "60s"\ntasks = ["127.0.0.1"]\n`;
  const container = BareContainer.start({
    name,
    directory: directory.path,
    volume: directory.file("volume"),
    mountPoint,
    args,
    file:
      `[node]\nname = "${node}"\ndata_dir = "${mountPoint}"\n[proxy]\nworkers = 2\n` +
      service("web", ports.web, task.port) +
      service("echo", ports.echo, echo.port),
  });
  containers.push(container);
  return container;
}

async function ends(container: BareContainer): Promise<number> {
  await waitFor(() => container.child.exitCode !== null, { what: "the container to end" });
  return container.child.exitCode!;
}

test.skipIf(lacksNamespaces())(
  "containers take over one after the other; each drains and ends with 0",
  async () => {
    let running = start("first");
    await running.serves();
    const load = new HttpLoad("127.0.0.1", ports.web, 2);
    for (const name of ["second", "third"]) {
      const held = await HeldConnection.open(ports.echo);
      await held.echoes(`before ${name}`);
      const next = start(name, ["--take-over"]);
      await next.serves();
      await waitFor(async () => (await next.status()).predecessor?.openConnections === 1, {
        what: "the predecessor to report its connection",
      });
      expect(await next.status()).toMatchObject({ node: "edge-1", pid: 1, predecessor: { pid: 1 } });
      // in the old container: what it does, and no changes
      expect((await running.status()).state).toBe("draining");
      const change = ["service", "create", "--name", "late", "--publish", "9:9", "--socket", running.socket];
      expect((await portmesh(...change)).stderr).toContain("another process runs this node now");
      await held.echoes(`after ${name}`);
      held.socket.end();
      expect(await ends(running)).toBe(0);
      await waitFor(async () => (await next.status()).predecessor === null, {
        what: "the predecessor to be gone",
      });
      expect(running.log).toContain("process 1 of another container has taken over");
      running = next;
    }
    await load.stop();
    expect(load.failures).toEqual([]);
  },
);

test.skipIf(lacksNamespaces())(
  "what cannot take over changes nothing: another node, a process beside process 1",
  async () => {
    const first = start("first");
    await first.serves();
    const load = new HttpLoad("127.0.0.1", ports.web, 2);
    const other = start("other", ["--take-over"], "edge-2");
    expect(await ends(other)).not.toBe(0);
    expect(other.log).toContain('its node.name is "edge-2", that of the running node "edge-1"');
    const upgrade = await portmesh("upgrade", "--socket", first.socket);
    expect(upgrade).toMatchObject({ exitCode: 1 });
    expect(upgrade.stderr).toContain("process 1 of a container cannot be replaced in it");
    expect((await first.status()).state).toBe("serving");
    expect((await first.status()).predecessor).toBeNull();
    await load.stop();
    expect(load.failures).toEqual([]);
  },
);

// The only one that waits for the predecessor's limit of 10 s: a process with an id here would be killed.
test.skipIf(lacksNamespaces())(
  "a container that hangs before it serves is refused when it goes on",
  async () => {
    const first = start("first");
    await first.serves();
    const load = new HttpLoad("127.0.0.1", ports.web, 2);
    const volume = directory.file("volume");
    const running = {
      directory: directory.path,
      socket: directory.file("volume/handover.sock"),
      dataDir: volume,
    };
    const takeover = await takeOverFrom({ ...running, name: "edge-1" });
    await takeover.begin();
    await waitFor(() => first.log.includes("this process continues"), {
      what: "the end of the patience",
      deadlineMs: 30_000,
    });
    expect(first.log).toContain("cannot kill the successor, which hangs in another container");
    const failure = await takeover.ready().catch((error: Error) => error.message);
    expect(failure).toContain("the new process did not serve within 10 s");
    await takeover.fail("refused");
    expect(await first.status()).toMatchObject({ state: "serving", predecessor: null });
    const next = start("next", ["--take-over"]);
    await next.serves();
    expect(await ends(first)).toBe(0);
    await load.stop();
    expect(load.failures).toEqual([]);
  },
  60_000,
);
