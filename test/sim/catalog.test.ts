/**
 * Catalogs in a virtual network (test/support/catalog-network.ts): whatever is lost, late, cut off or restarted, all
 * end with the same table. SEED repeats a run.
 */
import { expect, test } from "bun:test";
import { CatalogNetwork } from "../support/catalog-network.ts";
import { spec, task } from "../support/catalog-records.ts";
import { Seeded } from "../support/seed.ts";

const seeded = Seeded.fromEnvironment();

test("200 nodes with 1,000 services and 10,000 tasks converge within seconds and idle cheaply", () => {
  const nodeCount = Number(process.env.CATALOG_NODES ?? 200);
  const network = new CatalogNetwork(seeded.fork(1), { loss: 0.02, maxDelayMs: 100 });
  for (let n = 0; n < nodeCount; n++) network.start(`node-${n}`);
  for (let s = 0; s < 5 * nodeCount; s++) {
    const owner = network.catalogs.get(`node-${s % nodeCount}`)!;
    owner.writeService(`service-${s}`, spec(10_000 + s), "file", network.nowMs);
    for (let t = 0; t < 10; t++)
      owner.writeTask(task(`service-${(s * 7 + t) % (5 * nodeCount)}`, `10.1.${s % 250}.${t}:80`));
  }
  const t0 = performance.now();
  const tookMs = network.runUntil(() => network.hasConverged(), 60_000);
  console.log(
    "converged in",
    tookMs,
    "virtual ms",
    network.bytes,
    performance.now() - t0,
    process.memoryUsage().rss / 1e6,
  );
  expect(tookMs).toBeLessThan(60_000);
}, 120_000);
