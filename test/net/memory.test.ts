/**
 * What a load leaves in a node's memory once it is over.
 *
 *   clients ──▶ n1, entry node ══ sealed relay ══▶ n2, exit node ──▶ task     compiled executables on loopback
 */
import { afterEach, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { connectOften, sendStreams, startSink } from "../support/load/memory-load.ts";
import { residentBytesOf } from "../support/os/process-stats.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PUBLISHED = 8080;
const MEBIBYTE = 1024 * 1024;
/** A node that serves and has had nothing to do has 80 MiB. */
const MAX_BYTES = 120 * MEBIBYTE;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startMesh(): Promise<MeshCluster> {
  const sink = startSink();
  cleanUps.push(() => sink.stop());
  const cluster = await MeshCluster.start({
    label: "memory",
    places: loopbackPlaces(2),
    services: (_, index) =>
      serviceFile({
        name: "sink",
        publish: [String(PUBLISHED)],
        tasks: index === 1 ? [`127.0.0.1:${sink.port}`] : [],
      }),
  });
  cleanUps.push(() => cluster.close());
  await cluster.agree((services) => services[0]?.tasks.length === 1);
  return cluster;
}

/** Of each node, in MiB. */
function memoryOf({ nodes }: MeshCluster): string {
  return nodes.map(({ pid }) => (residentBytesOf(pid) / MEBIBYTE).toFixed(0)).join(" and ");
}

test("a load of many connections and of long streams leaves little behind", async () => {
  const cluster = await startMesh();
  const { address } = cluster.nodes[0]!;
  const before = memoryOf(cluster);
  expect(await connectOften(address, PUBLISHED, { count: 6000, width: 64 })).toBe(0);
  const afterConnections = memoryOf(cluster);
  await sendStreams(address, PUBLISHED, { streams: 4, bytes: 400 * MEBIBYTE });
  const afterStreams = memoryOf(cluster);
  try {
    await waitFor(() => cluster.nodes.every(({ pid }) => residentBytesOf(pid) <= MAX_BYTES), {
      what: "the nodes to return what they do not need any more",
      deadlineMs: 30_000,
    });
  } finally {
    const path = [before, afterConnections, afterStreams, memoryOf(cluster)];
    console.log(`MiB at start, after connections, after streams, later: ${path.join(", ")}`);
  }
});
