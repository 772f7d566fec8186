/**
 * A program: the echo service of one node, all of whose peers are in use. Its argument is an EchoNodeConfig; on its
 * standard output it says every 50 ms what it knows, one line of JSON with an EchoNodeReport. Each line of its standard
 * input is a number of milliseconds by which its clock is put ahead.
 */

import type { EchoCounts } from "../../../src/overlay/path/echo-exchange.ts";
import type { EchoPeerEnd, PathReport } from "../../../src/overlay/path/echo-peer.ts";
import { EchoService } from "../../../src/overlay/path/echo-service.ts";
import { EchoSocket } from "../../../src/overlay/path/echo-socket.ts";
import { SkippingClock } from "../time/skipping-clock.ts";

export interface EchoNodeConfig {
  readonly address: string;
  readonly port: number;
  readonly deviceMtu: number;
  readonly peers: readonly EchoPeerEnd[];
  readonly isActive: boolean;
}

export interface EchoNodeReport {
  readonly paths: Readonly<Record<string, PathReport>>;
  readonly counts: EchoCounts;
  /** As told by onChange, the last ones. */
  readonly mtus: Readonly<Record<string, number>>;
}

const REPORT_INTERVAL_MS = 50;

if (import.meta.main) {
  const config: EchoNodeConfig = JSON.parse(process.argv[2]!);
  const mtus: Record<string, number> = {};
  const clock = new SkippingClock();
  const service = new EchoService({
    ...config,
    socket: await EchoSocket.open(config.address, config.port),
    clock,
    random: Math.random,
    onChange: (peer, mtu) => {
      mtus[peer] = mtu;
    },
  });
  service.setPeers(config.peers);
  if (config.isActive) service.setActive(new Set(config.peers.map(({ name }) => name)));
  setInterval(() => {
    const paths = Object.fromEntries(config.peers.map(({ name }) => [name, service.report(name)]));
    console.log(JSON.stringify({ paths, counts: service.counts, mtus }));
  }, REPORT_INTERVAL_MS);
  for await (const line of console) clock.skip(Number(line));
}
