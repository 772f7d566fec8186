/**
 * The cable that the bench measures tunnels on, and the exchange it measures them with: what is lost is lost datagram
 * by datagram, what can be read is found, and nothing is left.
 *
 *   exchange client ── left 10.98.0.1 ──── veth ──── 10.98.0.2 right ── exchange server
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Bench } from "../bench/bench.ts";
import { type Options, parseOptions } from "../bench/options.ts";
import { TASK_PORTS } from "../bench/overlay/contestants/contestant.ts";
import { kernelVxlan, plainVeth } from "../bench/overlay/contestants/in-kernel.ts";
import { Link, runIn } from "../bench/overlay/link.ts";
import { transferOverlay } from "../bench/overlay/measure.ts";
import { isReadable } from "../bench/overlay/secrecy.ts";
import { exchangeClient, parseExchange } from "../bench/tools/exchange.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const EXCHANGE = {
  via: "tunnel",
  traffic: { kind: "exchange", messageBytes: 65_536, connections: 4 },
} as const;
const PER_MILLE = 50;

describe.skipIf(lacksNamespaces() || lacks("ethtool", "ss", "ping"))("the cable of the bench", () => {
  let bench: Bench;
  let link: Link;

  beforeEach(() => {
    bench = new Bench(parseOptions([]) as Options);
    link = Link.create();
  });

  afterEach(async () => {
    await bench.close();
    link.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  const exchange = async () =>
    transferOverlay({ bench, link }, await plainVeth.start(bench, link), EXCHANGE, 1);

  test("carries exchanges, and they are measured", async () => {
    const { sample, gigabytes, machineSeconds, processSeconds } = await exchange();
    expect(sample.exchanges).toBeGreaterThan(0);
    expect(sample.p99).toBeGreaterThanOrEqual(sample.p50!);
    expect(sample.p50).toBeGreaterThan(0);
    expect(gigabytes).toBeGreaterThan((sample.exchanges! * 2 * EXCHANGE.traffic.messageBytes) / 1e9 - 1e-6);
    expect(machineSeconds).toBeGreaterThan(0);
    expect(processSeconds).toBe(0);
  });

  test("loses single datagrams while it has a loss, at both ends", async () => {
    link.setLoss(PER_MILLE);
    await exchange();
    for (const end of link.ends) {
      const { arrived, lost, oversized } = link.arrivals(end);
      expect(lost).toBeGreaterThan(0);
      expect(lost).toBeLessThan(arrived / 4);
      expect(oversized).toBe(0);
    }
  });

  test("counts super-packets where segmentation was left on", async () => {
    link.setLoss(PER_MILLE);
    for (const end of link.ends) runIn(end, ["ethtool", "-K", "eth0", "gso", "on", "tso", "on"]);
    await exchange();
    expect(link.arrivals(link.right).oversized).toBeGreaterThan(0);
  });

  test("shows what is sent in clear, also inside of VXLAN, and nothing once it is over", async () => {
    const site = { bench, link };
    expect(await isReadable(site, await plainVeth.start(bench, link), "tunnel")).toBe(true);
    expect(await isReadable(site, await kernelVxlan.start(bench, link), "tunnel")).toBe(true);
    link.watchText();
    expect(link.readablePackets()).toBe(0);
  });

  test("is as new after a reset", async () => {
    const links = () => runIn(link.left, ["ip", "-o", "link"]);
    // a new veth reports its carrier a moment after it is up
    await waitFor(() => !links().includes("NO-CARRIER"), { what: "the cable to have a carrier" });
    const before = links();
    await kernelVxlan.start(bench, link);
    link.setLoss(PER_MILLE);
    link.reset();
    expect(links()).toBe(before);
    expect(runIn(link.left, ["nft", "list", "ruleset"])).toBe("");
  });

  test("a client without a task says so", async () => {
    const load = {
      address: link.right.address,
      port: TASK_PORTS.exchange,
      messageBytes: 128,
      connections: 1,
      seconds: 1,
    };
    const client = bench.children.run([...link.left.wrapper, ...exchangeClient(load)], 2000);
    await expect(client.then(parseExchange)).rejects.toThrow("closed by the other side");
  });
});
