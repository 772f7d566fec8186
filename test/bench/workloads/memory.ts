/** Memory of the proxy process: just started, and with thousands of idle connections through it. */
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { hardFileLimit, type Memory, memoryOf, waitFor } from "../process.ts";
import { startProxy } from "../proxies/proxy.ts";
import type { Measurement, SubjectName, Workload } from "../workload.ts";
import { freshProxy, openFresh } from "./fresh-proxy.ts";

const WANTED_CONNECTIONS = 9000;
/** Descriptors of a proxy that are not its connections' two each. */
const OTHER_DESCRIPTORS = 1000;
const TARGETS = join(import.meta.dir, "../targets");
const TARGET_DEADLINE_MS = 10_000;
const CONNECTIONS_DEADLINE_MS = 60_000;
/** Memory is read once two readings this far apart agree within the tolerance, or at the deadline. */
const SETTLE_INTERVAL_MS = 200;
const SETTLE_TOLERANCE = 0.005;
const SETTLE_READINGS = 25;
const MEBIBYTE = 1024 * 1024;

export const memory: Workload = {
  name: "memory",
  title: "Memory, idle connections",
  metrics: [
    { key: "perConnection", label: "bytes/connection", better: "less", digits: 0, isCompared: true },
    { key: "idleRss", label: "RSS MiB at start", better: "less", digits: 1, isCompared: false },
    { key: "idlePss", label: "PSS MiB at start", better: "less", digits: 1, isCompared: false },
    { key: "loadedRss", label: "RSS MiB with connections", better: "less", digits: 1, isCompared: false },
    { key: "loadedPss", label: "PSS MiB with connections", better: "less", digits: 1, isCompared: true },
    { key: "connections", label: "connections", better: "more", digits: 0, isCompared: false },
  ],
  subjects: ["haproxy", "nginx", "portmesh"],
  tools: [],
  minRounds: 1,
  open: openMemory,
};

async function openMemory(bench: Bench, _subjects: readonly SubjectName[], workers: number) {
  const server = await startIdleServer(bench);
  return openFresh((subject) => measureMemory(bench, subject, workers, server), server.stop);
}

interface IdleServer {
  readonly port: number;
  openConnections(): number;
  readonly stop: () => Promise<void>;
}

async function startIdleServer(bench: Bench): Promise<IdleServer> {
  const port = bench.ports.take();
  let open = 0;
  const command = [process.execPath, join(TARGETS, "idle-server.ts"), String(port)];
  const server = bench.children.start(command, bench.path("idle-server.log"), (message) => {
    open = (message as { open: number }).open;
  });
  await waitFor("start of the idle target", TARGET_DEADLINE_MS, () => isListening(port, "tcp"));
  return { port, openConnections: () => open, stop: () => server.stop() };
}

async function measureMemory(
  bench: Bench,
  subject: SubjectName,
  workers: number,
  server: IdleServer,
): Promise<Measurement> {
  const { program, setup, port } = freshProxy(bench, subject, workers, server.port);
  const proxy = await startProxy(bench, program, setup);
  try {
    const [pid] = proxy.pids as [number];
    const idle = await settledMemory(pid);
    const connections = affordableConnections();
    const clients = await openConnections(bench, port, connections, server);
    const loaded = await settledMemory(pid);
    const stillOpen = server.openConnections();
    await clients.stop();
    return { sample: toSample(idle, loaded, connections), failures: lostConnections(connections, stillOpen) };
  } finally {
    await proxy.stop();
    await waitFor("end of the connections", CONNECTIONS_DEADLINE_MS, () => server.openConnections() === 0);
  }
}

function affordableConnections(): number {
  return Math.min(WANTED_CONNECTIONS, Math.floor((hardFileLimit() - OTHER_DESCRIPTORS) / 2));
}

async function openConnections(bench: Bench, port: number, count: number, server: IdleServer) {
  const command = [process.execPath, join(TARGETS, "idle-clients.ts"), String(port), String(count)];
  let open = 0;
  const clients = bench.children.start(command, bench.path("idle-clients.log"), (message) => {
    open = (message as { open: number }).open;
  });
  try {
    await waitFor(`opening ${count} connections`, CONNECTIONS_DEADLINE_MS, () => {
      if (clients.hasExited) throw new Error(`the clients ended: ${clients.complaint()}`);
      return open === count && server.openConnections() === count;
    });
  } catch (error) {
    await clients.stop();
    throw error;
  }
  return clients;
}

async function settledMemory(pid: number): Promise<Memory> {
  let before = memoryOf(pid);
  for (let reading = 1; reading < SETTLE_READINGS; reading++) {
    await Bun.sleep(SETTLE_INTERVAL_MS);
    const now = memoryOf(pid);
    if (Math.abs(now.pssBytes - before.pssBytes) <= before.pssBytes * SETTLE_TOLERANCE) return now;
    before = now;
  }
  return before;
}

function toSample(idle: Memory, loaded: Memory, connections: number) {
  return {
    idleRss: idle.rssBytes / MEBIBYTE,
    idlePss: idle.pssBytes / MEBIBYTE,
    loadedRss: loaded.rssBytes / MEBIBYTE,
    loadedPss: loaded.pssBytes / MEBIBYTE,
    perConnection: (loaded.pssBytes - idle.pssBytes) / connections,
    connections,
  };
}

function lostConnections(opened: number, stillOpen: number): string[] {
  return stillOpen === opened ? [] : [`${opened - stillOpen} of ${opened} idle connections were closed`];
}
