/**
 * Nodes far apart: a node 600 ms away is reachable, and one 1,200 ms away serves UDP as well. Where packets get lost, as
 * many clients are served as without nodes.
 *
 *   clients ──▶ entry node ──▶ far0 ──▶ exit node, so many milliseconds away ──▶ task (all in namespace n1)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { farAddress, startFarMachines } from "../support/network/far-machines-process.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { runFarNodes } from "../support/relay/far-nodes-process.ts";

const CLIENTS = 40;

describe.skipIf(lacksNamespaces())("nodes that are far apart", () => {
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

  // the longest begin first
  const lossy = [
    [600, true, false],
    [100, false, true],
    [20, false, false],
  ] as const;
  test.concurrent.each(lossy)(
    "tcp, %d ms, profile wan %p, sealed %p, with 30 %% loss in each direction",
    async (rttMs, isWan, isSealed) => {
      const address = farAddress(rttMs, 30);
      const options = { protocol: "tcp", address, isWan, isSealed, clients: CLIENTS, rounds: 1 } as const;
      const { errors, bareErrors, connectFailuresTotal } = await runFarNodes(wrapper, options);
      expect(errors.filter((error) => error !== null && error !== "timeout")).toEqual([]);
      // both are at the mercy of chance, and nodes need a round trip more
      expect(served(errors)).toBeGreaterThanOrEqual(served(bareErrors) - CLIENTS / 4);
      expect(connectFailuresTotal).toBe(0);
    },
    150_000,
  );

  const cases = [
    ["tcp", 600, true, false],
    ["tcp", 600, true, true],
    ["tcp", 1200, true, false],
    ["udp", 600, true, false],
    ["udp", 1200, true, false],
    ["udp", 1200, true, true],
    ["udp", 1200, false, false],
    ["tcp", 300, false, false],
  ] as const;
  test.concurrent.each(cases)(
    "%s, %d ms, profile wan %p, sealed %p",
    async (protocol, rttMs, isWan, isSealed) => {
      const address = farAddress(rttMs);
      const result = await runFarNodes(wrapper, { protocol, address, isWan, isSealed, rounds: 4 });
      expect(result.errors).toEqual(Array(4).fill(null));
      expect(result.connectFailuresTotal).toBe(0);
      expect(result.rttMs).toBeGreaterThan(rttMs * 0.9);
      // a LAN's node learns it by an answer that it has missed
      if (isWan || rttMs < 500) expect(result.silences).toBe(0);
    },
    60_000,
  );

  const lossyUdp = [
    [20, false, false],
    [600, true, true],
  ] as const;
  test.concurrent.each(lossyUdp)(
    "udp, %d ms, profile wan %p, sealed %p, with 30 %% loss in each direction: clients that ask again are answered",
    async (rttMs, isWan, isSealed) => {
      const address = farAddress(rttMs, 30);
      const options = { protocol: "udp", address, isWan, isSealed, clients: 10, rounds: 2 } as const;
      const { errors, connectFailuresTotal } = await runFarNodes(wrapper, options);
      expect(errors).toEqual(Array(20).fill(null));
      expect(connectFailuresTotal).toBe(0);
    },
    150_000,
  );
});

function served(errors: readonly (string | null)[]): number {
  return errors.filter((error) => error === null).length;
}
