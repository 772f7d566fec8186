import { expect, test } from "bun:test";
import { MetricRegistry, type Reading, single } from "../../../src/metrics/registry.ts";
import { TextWriter } from "../../../src/metrics/text-writer.ts";

async function textOf(registry: MetricRegistry): Promise<string> {
  const writer = new TextWriter("text");
  await registry.write(writer);
  return new TextDecoder().decode(writer.take());
}

function samplesIn(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

test("values are read when they are written, and what is gone is gone", async () => {
  const registry = new MetricRegistry();
  let peers: Reading = [
    [{ peer: "a" }, 1],
    [{ peer: "b" }, 2],
  ];
  registry.gauge({ name: "rtt", help: "RTT.", labels: ["peer"], read: () => peers });
  expect(await textOf(registry)).toBe(
    '# HELP rtt RTT.\n# TYPE rtt gauge\nrtt{peer="a"} 1\nrtt{peer="b"} 2\n',
  );
  peers = [[{ peer: "b" }, 0]];
  expect(samplesIn(await textOf(registry))).toEqual(['rtt{peer="b"} 0']);
});

test("a family without a sample is named all the same, with and without labels", async () => {
  const registry = new MetricRegistry();
  registry.gauge({ name: "one", help: "x", read: () => [] });
  registry.counter({ name: "two_total", help: "x", read: () => [] });
  registry.counter({ name: "three_total", help: "x", labels: ["reason"], read: () => [] });
  expect((await textOf(registry)).split("\n").filter((line) => !line.startsWith("# HELP"))).toEqual([
    "# TYPE one gauge",
    "# TYPE two_total counter",
    "# TYPE three_total counter",
    "",
  ]);
});

test("counters go on where those of the process before have ended, also those that occur no more", async () => {
  const before = new MetricRegistry();
  before.counter({
    name: "drops_total",
    help: "x",
    labels: ["reason"],
    read: () => [
      [{ reason: "old" }, 3],
      [{ reason: "both" }, 4],
    ],
  });
  before.counter({ name: "plain_total", help: "x", read: () => single(7) });
  before.gauge({ name: "now", help: "x", read: () => single(9) });
  const after = new MetricRegistry(JSON.parse(JSON.stringify(before.counts())));
  after.counter({
    name: "drops_total",
    help: "x",
    labels: ["reason"],
    read: () => [
      [{ reason: "both" }, 1],
      [{ reason: "new" }, 2],
    ],
  });
  after.counter({ name: "plain_total", help: "x", read: () => single(1) });
  after.gauge({ name: "now", help: "x", read: () => single(1) });
  expect(samplesIn(await textOf(after))).toEqual([
    'drops_total{reason="old"} 3',
    'drops_total{reason="both"} 5',
    'drops_total{reason="new"} 2',
    "plain_total 8",
    "now 1",
  ]);
});

test("counts pass through any number of processes without growing in number", async () => {
  const chain = (registry: MetricRegistry) => {
    registry.counter({ name: "a_total", help: "x", labels: ["r"], read: () => [[{ r: "x" }, 1]] });
    return registry;
  };
  let registry = chain(new MetricRegistry());
  for (let process = 0; process < 5; process++) registry = chain(new MetricRegistry(registry.counts()));
  expect(registry.counts()).toEqual([["a_total", { r: "x" }, 6]]);
});
