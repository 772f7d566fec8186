/**
 * Sends a message of BYTES, waits for one of the same size, and again, on every connection; prints what it has measured
 * as one line of JSON: bun exchange-client.ts ADDRESS PORT BYTES CONNECTIONS SECONDS
 *
 * The first fifth of the time, at most a second, is not measured: connections and programs get warm.
 */
import ipaddr from "ipaddr.js";
import { scratch } from "../../../src/sys/arena.ts";
import { EINPROGRESS, SysError } from "../../../src/sys/errno.ts";
import { AF_INET, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { connect, tcpSocket } from "../../../src/sys/socket.ts";
import type { ExchangeReport } from "../tools/exchange.ts";
import { MAX_DESCRIPTORS, MessageLoop } from "../tools/message-loop.ts";

/** More exchanges than a minute has; those past it are counted, but not among the latencies. */
const MAX_LATENCIES = 4_000_000;
const NS_PER_SECOND = 1e9;
const TURN_MS = 100;

const [address = "", ...numbers] = process.argv.slice(2);
const [port = 0, messageBytes = 0, connections = 1, seconds = 1] = numbers.map(Number);

const latenciesUs = new Float32Array(MAX_LATENCIES);
/** By descriptor. */
const sentAtNs = new Float64Array(MAX_DESCRIPTORS);
let exchanges = 0;
let untimedExchanges = 0;
let ended = 0;

const loop = new MessageLoop(messageBytes, onAnswer, () => ended++);
const warmNs = Bun.nanoseconds() + Math.min(1, seconds / 5) * NS_PER_SECOND;
const endNs = warmNs + seconds * NS_PER_SECOND;
for (let index = 0; index < connections; index++) begin(openConnection());
while (Bun.nanoseconds() < endNs && ended === 0) loop.turn(TURN_MS);
console.log(JSON.stringify(report()));

function onAnswer(fd: number): void {
  const nowNs = Bun.nanoseconds();
  if (nowNs >= warmNs && nowNs < endNs) {
    if (exchanges < MAX_LATENCIES) latenciesUs[exchanges] = (nowNs - sentAtNs[fd]!) / 1000;
    exchanges++;
  } else untimedExchanges++;
  begin(fd);
}

function begin(fd: number): void {
  sentAtNs[fd] = Bun.nanoseconds();
  loop.send(fd);
}

/** What is sent before it is connected waits for the connection. */
function openConnection(): number {
  const fd = tcpSocket(AF_INET);
  const length = writeSockaddr(scratch.bytes, 0, Uint8Array.from(ipaddr.parse(address).toByteArray()), port);
  const result = connect(fd, scratch.address(0), length);
  if (result < 0 && result !== -EINPROGRESS) throw new SysError("connect", -result);
  loop.add(fd);
  return fd;
}

function report(): ExchangeReport {
  const sorted = latenciesUs.subarray(0, Math.min(exchanges, MAX_LATENCIES)).sort();
  const quantile = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { exchanges, untimedExchanges, seconds, p50Us: quantile(0.5), p99Us: quantile(0.99), ended };
}
