/**
 * Tasks far away: a task that answers after 100 to 1,200 ms is as healthy as one beside the proxy, and one to which
 * packets get lost serves as many clients as without the proxy.
 *
 *   clients ──▶ proxy ──▶ far0 ──▶ tasks, so many milliseconds away (all in namespace n1)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { farAddress, startFarMachines } from "../support/network/far-machines-process.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { runFarTasks } from "../support/proxy/far-tasks-process.ts";

const CLIENTS = 40;

describe.skipIf(lacksNamespaces())("tasks that are far away", () => {
  let network: Namespaces;
  let wrapper: readonly string[];
  let far: Awaited<ReturnType<typeof startFarMachines>>;

  beforeAll(async () => {
    network = Namespaces.create(1);
    wrapper = network.nodes[0]!.wrapper;
    far = await startFarMachines(wrapper);
  });
  afterAll(async () => {
    await far?.stop();
    network?.close();
  });

  function sum(counts: Readonly<Record<string, number>>): number {
    return Object.values(counts).reduce((total, count) => total + count, 0);
  }

  function served(errors: readonly (string | null)[]): number {
    return errors.filter((error) => error === null).length;
  }

  test.concurrent("each client is one connection, and no task fails", async () => {
    const addresses = [100, 200, 300].map((rttMs) => farAddress(rttMs));
    const { errors, connections, status } = await runFarTasks(wrapper, { addresses, clients: 14, rounds: 5 });
    expect(errors).toEqual(Array(70).fill(null));
    expect(sum(connections)).toBe(70);
    expect(Object.keys(connections).sort()).toEqual([...addresses].sort());
    for (const task of status.tasks)
      expect(task).toMatchObject({ state: "active", connectFailuresTotal: 0, lastError: null });
  }, 60_000);

  test.concurrent("a task that is later than anybody expects is overtaken at first, and never fails", async () => {
    const addresses = [farAddress(800), farAddress(20)];
    const { errors, connections, status } = await runFarTasks(wrapper, { addresses, clients: 1, rounds: 12 });
    expect(errors).toEqual(Array(12).fill(null));
    for (const task of status.tasks)
      expect(task).toMatchObject({ state: "active", connectFailuresTotal: 0, lastError: null });
    // its time is known from the connection that lost
    expect(status.tasks[0]!.connectionsTotal).toBeGreaterThan(0);
    expect(sum(connections)).toBeLessThan(16);
  }, 60_000);

  test.concurrent("a task so far away that each SYN is sent twice has its time measured all the same", async () => {
    const addresses = [1200, 1210].map((rttMs) => farAddress(rttMs));
    const options = { addresses, clients: 4, rounds: 6 };
    const { errors, connections, status, timesDown } = await runFarTasks(wrapper, options);
    expect(errors).toEqual(Array(24).fill(null));
    expect(timesDown).toBe(0);
    for (const task of status.tasks)
      expect(task).toMatchObject({ state: "active", connectFailuresTotal: 0, lastError: null });
    // the first ones of each client are hedged
    expect(sum(connections)).toBeLessThan(24 + 12);
  }, 60_000);

  test.concurrent.each([100, 1200])(
    "%d ms away, with 30 %% loss in each direction, no client is reset",
    async (rttMs) => {
      const addresses = [farAddress(rttMs, 30)];
      const options = { addresses, clients: CLIENTS, rounds: 1, timeoutMs: 15_000 };
      const { errors, bareErrors, status } = await runFarTasks(wrapper, options);
      expect(errors.filter((error) => error !== null && error !== "timeout")).toEqual([]);
      // both are at the mercy of chance
      expect(served(errors)).toBeGreaterThanOrEqual(served(bareErrors) - CLIENTS / 4);
      expect(status.tasks[0]).toMatchObject({ connectFailuresTotal: 0 });
    },
    60_000,
  );
});
