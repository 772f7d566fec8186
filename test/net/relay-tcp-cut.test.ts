/**
 * Open connections to an exit node that is cut off: nothing comes back from it, not even an error.
 *
 *   client ──▶ entry node, this process ── bridge ──╳── n1: exit node ──▶ its task
 */
import { describe, expect, test } from "bun:test";
import { startWebTask } from "../support/load/web-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { type TestService, tableOf } from "../support/proxy/routing-table.ts";
import { on, RelayMesh } from "../support/relay/relay-mesh.ts";
import { MODES, RELAY_KEY } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const HOUR_MS = 3_600_000;
const RELAY_PORT = 4789;
const TASK_PORT = 9000;

describe.each(MODES)("%s", (_mode, isSealed) => {
  /** An exit node on that machine, with the task of the service. */
  async function startExit(running: RelayMesh, machine: NetworkNode, service: TestService): Promise<void> {
    const acceptsClear = isSealed ? [] : "always";
    const relay = {
      node: "exit",
      listenAddresses: [machine.address],
      port: RELAY_PORT,
      keys: [RELAY_KEY],
      acceptsClear,
    };
    const script = new URL("../support/proxy/proxy-process.ts", import.meta.url).pathname;
    const table = JSON.stringify({ ...tableOf(service), relay });
    const exit = Bun.spawn([...machine.wrapper, process.execPath, script, table], {
      stdin: "pipe",
      stdout: "pipe",
    });
    running.keep(exit, (ended) => ended.kill("SIGKILL"));
    await exit.stdout.getReader().read();
  }

  describe.skipIf(lacksNamespaces())("an open connection whose exit node is cut off", () => {
    test.concurrent.each([
      ["without idle_timeout", 0],
      ["with an idle_timeout of an hour", HOUR_MS],
    ])(
      "ends soon after bytes for it are not answered, %s",
      async (_, idleTimeoutMs) => {
        await using running = await RelayMesh.start();
        const network = running.keep(Namespaces.create(1), (ended) => ended.close());
        const machine = network.nodes[0]!;
        const { address, wrapper } = machine;
        const web = { port: TASK_PORT };
        const task = await startWebTask("far", TASK_PORT, { address, wrapper });
        running.keep(task, (ended) => ended.kill());
        const rules = { idleTimeoutMs };
        const own = { name: `task-${TASK_PORT}`, address, port: TASK_PORT };
        await startExit(running, machine, { ...running.service([own], rules), listenAddresses: [] });
        const entry = await running.node("entry", { isSealed, port: await freeQuietPort() });
        const peer = { name: "exit", address, port: RELAY_PORT, udpPort: RELAY_PORT, isSealed };
        await running.route(entry, [{ peer }], [on("exit", web)], rules);
        const client = await running.connect();
        await waitFor(() => entry.status.tasks[0]!.openConnections === 1, {
          what: "the task to be connected",
        });

        await machine.cut("both", [network.outside]);
        await client.send("GET");
        await waitFor(() => entry.status.tcp.openConnections === 0, {
          what: "the connection to end",
          deadlineMs: 60_000,
        });
        expect(await client.receiveRest().catch((error) => error.code)).toBe("ECONNRESET");
        expect(entry.status.refusedTotal).toEqual({});
      },
      90_000,
    );
  });
});
