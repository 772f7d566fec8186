/**
 * What breaks in a mesh under load, and what of it clients see: nothing, at the nodes that live. The topology is drawn
 * in test/support/cluster/fault-scenario.ts; how long things took goes to dist/mesh-report.md and is not asserted.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { takeError } from "../../src/sys/socket.ts";
import { FaultScenario, PUBLISHED, webService } from "../support/cluster/fault-scenario.ts";
import type { ServiceInfo } from "../support/cluster/mesh-node.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { RawSocket } from "../support/os/raw-socket.ts";
import { waitFor } from "../support/time/wait-for.ts";

const BROKEN = "n5";
/** At each node, after something has happened. */
const ENOUGH = 100;
const TIMEOUT_MS = 180_000;
const KEEPING_REQUEST = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

afterAll(() => expect(Namespaces.leftovers()).toEqual([]));

/**
 * Breaks one node, waits until the others have declared it dead, mends it, waits until all is as before. At the
 * others no request fails from the moment it is broken.
 */
async function breakAndMend(
  running: FaultScenario,
  breakIt: () => Promise<unknown>,
  mendIt: () => Promise<unknown>,
): Promise<{ readonly brokenMs: number }> {
  const survivors = running.without(BROKEN);
  await breakIt();
  const brokenMs = performance.now();
  const avoidedMs = await running.avoided(BROKEN, survivors);
  running.measure("ms until none asks it", avoidedMs - brokenMs);
  await running.load.more(ENOUGH, survivors);
  const nodes = survivors.map((node) => running.node(node));
  await running.load.lightly(() => running.cluster.seenAs(BROKEN, ["failed", "gone"], nodes));
  running.measure("ms until all see it failed", performance.now() - brokenMs);
  await running.servedBy(["n3", "n4"], survivors);
  await running.load.more(ENOUGH, survivors);
  running.measureDelays(brokenMs, survivors);
  expect(running.failures(brokenMs, survivors)).toEqual([]);
  expect(running.answering(avoidedMs, survivors)).toEqual(["n3", "n4"]);

  const mendingMs = performance.now();
  await mendIt();
  const mendedMs = performance.now();
  await running.servedBy(["n3", "n4", BROKEN], survivors);
  running.measure("ms until it serves again", performance.now() - mendingMs);
  await running.load.lightly(() =>
    running.agreeAgain(mendingMs, (services) => services[0]?.tasks.length === 3),
  );
  await running.load.more(ENOUGH);
  await running.finish();
  expect(running.failures(brokenMs, survivors)).toEqual([]);
  expect(running.failures(mendedMs, [BROKEN])).toEqual([]);
  return { brokenMs };
}

// at most three clusters at a time: a serial test stands between those that wait beside each other

describe.skipIf(lacksNamespaces())("a node that breaks under load fails no request at the others", () => {
  test.concurrent(
    "kill -9",
    async () => {
      await using running = await FaultScenario.start("kill -9");
      const broken = running.node(BROKEN);
      await breakAndMend(
        running,
        () => broken.kill(),
        () => broken.start(),
      );
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "SIGSTOP: it accepts and never answers",
    async () => {
      await using running = await FaultScenario.start("SIGSTOP");
      const broken = running.node(BROKEN);
      await breakAndMend(
        running,
        () => broken.pause(),
        async () => broken.resume(),
      );
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(lacksNamespaces())("under load", () => {
  test(
    "a rolling restart of the whole cluster fails no request at the nodes that are up",
    async () => {
      await using running = await FaultScenario.start("rolling restart");
      const { cluster, load } = running;
      const startMs = performance.now();
      for (const node of cluster.nodes) {
        const others = running.without(node.name);
        const stoppingMs = performance.now();
        expect(await node.stop()).toBe(0);
        await load.more(ENOUGH / 2, others);
        await cluster.seenAs(
          node.name,
          ["left", "gone"],
          others.map((name) => running.node(name)),
        );
        await node.start();
        const startedMs = performance.now();
        await cluster.allAlive();
        await cluster.agree((services) => services[0]?.tasks.length === 3);
        await load.more(ENOUGH / 2);
        expect(running.failures(stoppingMs, others)).toEqual([]);
        expect(running.failures(startedMs, [node.name])).toEqual([]);
      }
      running.measure("ms for all nodes", performance.now() - startMs);
      await running.finish();
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(lacksNamespaces())("a node that breaks under load fails no request at the others", () => {
  for (const direction of ["in", "out", "both"] as const) {
    test.concurrent(
      `its links to the others are cut: ${direction}`,
      async () => {
        await using running = await FaultScenario.start(`links cut, ${direction}`);
        const machine = running.machine(BROKEN);
        const { brokenMs } = await breakAndMend(
          running,
          () => machine.cut(direction, [running.network.everyNode]),
          () => machine.heal(),
        );
        // clients reach it all the time, and it has a task of its own
        expect(running.failures(brokenMs, [BROKEN])).toEqual([]);
      },
      TIMEOUT_MS,
    );
  }
});

describe.skipIf(lacksNamespaces())("under load", () => {
  test(
    "a task moves from node to node and no request fails",
    async () => {
      const path = ["n2", "n3", "n4", "n5", "n2"];
      await using running = await FaultScenario.start("a task moves", { serving: [path[0]!] });
      const { cluster } = running;
      const every = running.without();
      const startMs = performance.now();
      for (const [index, to] of path.entries()) {
        const from = path[index - 1];
        if (from === undefined) continue;
        const [source, destination] = [running.node(from), running.node(to)];
        await destination.reload(cluster.fileOf(destination, {}, webService([destination.address])));
        await cluster.agree((services) => services[0]?.tasks.length === 2);
        await source.reload(cluster.fileOf(source, {}, webService([])));
        await cluster.agree((services) => services[0]?.tasks.length === 1);
        await running.servedBy([to], every);
      }
      running.measureDelays(startMs, every);
      await running.finish();
      expect(running.failures(startMs, every)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

/** Connections that stay open, through this node, to the task of the broken one. */
async function openToBroken(machine: NetworkNode): Promise<RawSocket[]> {
  const clients = await Promise.all(
    Array.from({ length: 12 }, () => RawSocket.connect(PUBLISHED, { to: machine.address })),
  );
  const isThere = await Promise.all(
    clients.map(async (client) => {
      await client.send(KEEPING_REQUEST);
      return Buffer.from(await client.receive())
        .toString()
        .endsWith(BROKEN);
    }),
  );
  for (const [index, client] of clients.entries()) if (!isThere[index]) client.close();
  return clients.filter((_, index) => isThere[index]);
}

describe.skipIf(lacksNamespaces())("an open connection to a node that is cut off", () => {
  test.concurrent(
    "ends, when bytes for it are not answered, long before its task's time is over",
    async () => {
      await using running = await FaultScenario.start("open connections to a node cut off");
      const clients = await openToBroken(running.machine("n1"));
      expect(clients.length).toBeGreaterThan(0);
      await running.machine(BROKEN).cut("both", [running.network.everyNode]);
      for (const client of clients) await client.send(KEEPING_REQUEST);
      const open = new Set(clients);
      const haveEnded = () => {
        for (const client of open) if (takeError(client.fd) !== 0) open.delete(client);
        return open.size === 0;
      };
      await running.load.lightly(() =>
        waitFor(haveEnded, { what: "all of them to end", deadlineMs: 60_000 }),
      );
      const { proxy } = await running.node("n1").status();
      expect(proxy.services[0]!.refusedTotal.drained ?? 0).toBe(0);
      for (const client of clients) client.close();
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(lacksNamespaces())("two halves of a cluster", () => {
  const halves = [
    ["n1", "n2"],
    ["n3", "n4", "n5"],
  ] as const;
  const serviceOf = (half: readonly string[]) => `made-by-${half[0]}`;

  test.concurrent(
    "each serve with what they have, take changes, and are one cluster again with the changes of both",
    async () => {
      const serving = ["n2", "n3", "n4", "n5"];
      await using running = await FaultScenario.start("two halves", { serving });
      const { cluster } = running;
      for (const name of halves[0]) {
        const others = halves[1].map((other) => running.machine(other).address);
        await running.machine(name).cut("both", others);
      }
      const cutMs = performance.now();
      for (const [half, others] of [halves, halves.toReversed()] as const) {
        const nodes = half!.map((name) => running.node(name));
        const sees = (other: string) => cluster.seenAs(other, ["failed", "gone"], nodes);
        await running.load.lightly(() => Promise.all(others!.map(sees)));
        await running.servedBy(
          half!.filter((name) => serving.includes(name)),
          half!,
        );
        const port = `${9090 + half!.length}:80`;
        const created = await nodes[0]!.command("service", "create", "--name", serviceOf(half!), "-p", port);
        expect(created).toMatchObject({ exitCode: 0 });
      }
      running.measure("ms until all see it failed", performance.now() - cutMs);

      const healingMs = performance.now();
      for (const name of halves[0]) await running.machine(name).heal();
      const names = ["web", ...halves.map(serviceOf)].sort().join();
      const isWanted = (services: readonly ServiceInfo[]) =>
        services
          .map(({ name }) => name)
          .sort()
          .join() === names;
      await running.load.lightly(() => running.agreeAgain(healingMs, isWanted));
      await running.servedBy(serving, running.without());
      running.measureDelays(cutMs, running.without());
      await running.finish();
      expect(running.failures(cutMs, running.without())).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(lacksNamespaces())("under load", () => {
  test.concurrent(
    "5 % loss between all nodes fails no request and loses no node for good",
    async () => {
      // a segment that is lost again and again costs seconds: no failure as long as the answer comes
      await using running = await FaultScenario.start("5 % loss", { load: { timeoutMs: 30_000 } });
      const { network, cluster, load } = running;
      for (const node of network.nodes) await node.lose(5, [network.everyNode]);
      const lossyMs = performance.now();
      let timesSeenFailed = 0;
      await waitFor(
        async () => {
          const statuses = await Promise.all(cluster.nodes.map((node) => node.status()));
          const members = statuses.flatMap((status) => status.cluster.members);
          timesSeenFailed += members.filter(({ state }) => state === "failed").length;
          await load.more(5);
          return running.without().every((name) => load.since(lossyMs, [name]).length > 5 * ENOUGH);
        },
        { what: "enough requests", deadlineMs: 60_000 },
      );
      for (const node of network.nodes) await node.heal();
      await cluster.allAlive();
      await cluster.agree((services) => services[0]?.tasks.length === 3);
      running.measureDelays(lossyMs, running.without());
      running.measure("times a live node was seen failed", timesSeenFailed);
      await running.finish();
      expect(running.failures(lossyMs, running.without())).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
