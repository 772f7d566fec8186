/**
 * A real Prometheus with the alert rules of config/prometheus scrapes two nodes.
 *
 *   client -> n1, n2 :web -> task
 *   Prometheus -> n1, n2 :admin
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { BREAKS, REFUSAL_REASONS, RELAY_DROPS, RELAY_ERRORS } from "../../src/proxy/table/counters.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { Metrics } from "../support/node/metrics.ts";
import { freePorts } from "../support/os/free-port.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const RULES = resolve("config/prometheus/portmesh.rules.yml");
const DASHBOARD = resolve("config/grafana/portmesh.json");
const METRIC = /\b(?:portmesh|process)_[a-z_]+/g;
const OPENMETRICS = "application/openmetrics-text;version=1.0.0";

interface Alert {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

const rules = readFileSync(RULES, "utf8");
const cleanUps: (() => unknown)[] = [];
let cluster: MeshCluster;
let task: WebTask;
let published: number;
/** Of admin.listen, at each node's address. */
let adminPort: number;

beforeEach(async () => {
  const [webPort, taskPort, apiPort] = (await freePorts(3)) as [number, number, number];
  published = webPort;
  adminPort = apiPort;
  task = await startWebTask("one", taskPort);
  cleanUps.push(() => task.kill());
  cluster = await MeshCluster.start({
    label: "prometheus",
    places: loopbackPlaces(2),
    services: ({ address }, index) =>
      `[admin]\nlisten = "${address}:${adminPort}"\n` +
      serviceFile({
        name: "web",
        publish: [`${published}:80`, `${published}:80/udp`],
        tasks: index === 0 ? [`127.0.0.1:${taskPort}`] : [],
      }),
  });
  cleanUps.push(() => cluster.close());
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Rules, and the queries of the dashboard with values for its variables. */
function expressions(): string[] {
  const ofRules = [...rules.matchAll(/^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)$)/gm)].map(
    ([, block, line]) => block ?? line!,
  );
  const dashboard = readFileSync(DASHBOARD, "utf8");
  const ofDashboard = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
    ([, text]) => JSON.parse(text!) as string,
  );
  const variables = (query: string) =>
    query.replaceAll("$__rate_interval", "5m").replace(/\$(?:job|instance|service)\b/g, ".*");
  return [...ofRules, ...ofDashboard.map(variables)];
}

/** Its exit code and what it says. */
async function promtool(args: readonly string[], input = ""): Promise<[number, string]> {
  const child = Bun.spawn([findProgram("promtool")!, ...args], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, problems, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return [code, `${out}${problems}`.trim()];
}

describe.skipIf(lacks("promtool"))("promtool", () => {
  test("finds nothing wrong with the metrics of a node that has served clients", async () => {
    expect(await (await fetch(`http://${cluster.nodes[0]!.address}:${published}/`)).text()).toBe("one");
    for (const node of cluster.nodes)
      expect(await promtool(["check", "metrics"], (await Metrics.of(node.socket)).text)).toEqual([0, ""]);
  });

  test("accepts the scrape job of the example", async () => {
    const [code, said] = await promtool([
      "check",
      "config",
      "--syntax-only",
      "config/prometheus/prometheus.yml",
    ]);
    expect([code, said.includes("SUCCESS")]).toEqual([0, true]);
  });

  test("accepts the alert rules, and they fire when they should", async () => {
    const [code, said] = await promtool(["check", "rules", RULES]);
    expect([code, said.includes("SUCCESS")]).toEqual([0, true]);
    const instance = 'job="portmesh",instance="a"';
    const alert = (name: string, labels: string, atMinutes: number) =>
      `{ eval_time: ${atMinutes}m, alertname: ${name}, exp_alerts: [${labels}] }`;
    const tests = `rule_files: [${RULES}]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - { series: 'portmesh_service_tasks_up{${instance},service="web"}', values: "1 1 1 1 0x20" }
      - { series: 'portmesh_cluster_members{${instance},state="alive"}', values: "3x30" }
      - { series: 'portmesh_cluster_members{job="portmesh",instance="b",state="alive"}', values: "3x5 2x30" }
      - { series: 'portmesh_service_failures_total{${instance},service="web",reason="no-task"}', values: "0x4 0+30x40" }
      - { series: 'portmesh_service_connections_total{${instance},service="web"}', values: "0+60x50" }
    promql_expr_test:
      - { expr: 'count(ALERTS{alertname="PortmeshServiceWithoutTask",alertstate="firing"})', eval_time: 2m, exp_samples: [] }
      - expr: 'count(ALERTS{alertname="PortmeshServiceWithoutTask",alertstate="firing"})'
        eval_time: 4m
        exp_samples: [{ labels: "{}", value: 1 }]
      - expr: 'count(ALERTS{alertname="PortmeshClusterSplit",alertstate="firing"})'
        eval_time: 10m
        exp_samples: [{ labels: "{}", value: 1 }]
      - expr: 'count(ALERTS{alertname="PortmeshServiceFailing",alertstate="firing"})'
        eval_time: 12m
        exp_samples: [{ labels: "{}", value: 1 }]
    alert_rule_test:
      - ${alert("PortmeshClusterSplit", "", 2)}
      - ${alert("PortmeshServiceFailing", "", 2)}
`;
    const program = startProgram("true", { "test.yml": tests }, () => []);
    cleanUps.push(() => program.stop());
    const [failed, output] = await promtool(["test", "rules", `${program.directory}/test.yml`]);
    expect([failed, output.includes("SUCCESS")]).toEqual([0, true]);
  });
});

test("every metric that a rule or the dashboard names is one of a node", async () => {
  const [node] = cluster.nodes as [MeshNode];
  expect(await (await fetch(`http://${node.address}:${published}/`)).text()).toBe("one");
  const { families, samples } = await Metrics.of(node.socket);
  const names = [...samples.keys()].map((key) => key.split("{", 1)[0]!);
  const known = new Set([...families.keys(), ...names]);
  const named = new Set(expressions().flatMap((query) => query.match(METRIC) ?? []));
  expect([...named].filter((name) => !known.has(name))).toEqual([]);
  expect(named.size).toBeGreaterThan(30);
});

test("every reason that a rule names is one that is counted", () => {
  const counted: readonly string[] = [...REFUSAL_REASONS, ...BREAKS, ...RELAY_ERRORS, ...RELAY_DROPS];
  const named = [...rules.matchAll(/reason(?:=|=~|!~)"([^"]*)"/g)].flatMap(([, reasons]) =>
    reasons!.split("|"),
  );
  expect(named.filter((reason) => !counted.includes(reason))).toEqual([]);
  expect(named.length).toBeGreaterThan(10);
});

describe.skipIf(lacks("prometheus"))("Prometheus", () => {
  let api: string;
  let targets: ReadonlyMap<string, MeshNode>;

  /** Waits of the rules are left out. */
  beforeEach(async () => {
    const [port] = (await freePorts(1)) as [number];
    targets = new Map(cluster.nodes.map((node) => [`${node.address}:${adminPort}`, node]));
    const files = {
      "prometheus.yml": `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
scrape_configs:
  - job_name: portmesh
    static_configs: [{ targets: [${[...targets.keys()].map((target) => `"${target}"`).join(", ")}] }]
`,
      "rules.yml": rules.replace(/^ +for: .*\n/gm, ""),
    };
    const prometheus = startProgram("prometheus", files, (directory) => [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    cleanUps.push(() => prometheus.stop());
    api = `http://127.0.0.1:${port}/api/v1`;
    await becomes("sum(up)", 2);
  });

  async function ask<T>(path: string): Promise<T> {
    const { status, data, error } = (await (await fetch(`${api}/${path}`)).json()) as {
      readonly status: string;
      readonly data: T;
      readonly error?: string;
    };
    if (status !== "success") throw new Error(`${path}: ${error}`);
    return data;
  }

  /** Values, in any order; [] while Prometheus starts. */
  async function query(expression: string): Promise<number[]> {
    const path = `query?query=${encodeURIComponent(expression)}`;
    const answer = await ask<{ result: { value: [number, string] }[] }>(path).catch((error: Error) => {
      if (error.message.startsWith(path)) throw error;
      return { result: [] };
    });
    return answer.result.map(({ value }) => Number(value[1]));
  }

  /** The nodes are not scraped at the same time. */
  async function becomes(expression: string, value: number): Promise<void> {
    await waitFor(async () => (await query(expression))[0] === value, {
      what: `${expression} to be ${value}`,
    });
  }

  async function firing(name: string): Promise<Alert[]> {
    const { alerts } = await ask<{ alerts: Alert[] }>("alerts");
    return alerts.filter(({ labels, state }) => labels.alertname === name && state === "firing");
  }

  test("scrapes both nodes, understands every query, and its alerts fire on failures", async () => {
    const url = `http://${cluster.nodes[1]!.address}:${published}/`;
    for (let index = 0; index < 5; index++) expect(await (await fetch(url)).text()).toBe("one");
    await becomes('sum(portmesh_service_connections_total{service="web"})', 5);
    await becomes("sum(portmesh_service_relayed_connections_total)", 5);
    await becomes('sum(portmesh_cluster_members{state="alive"})', 4);
    for (const expression of expressions()) await query(expression);
    const { groups } = await ask<{ groups: { rules: { health: string; lastError?: string }[] }[] }>("rules");
    const all = groups.flatMap((group) => group.rules);
    expect(all.length).toBe((rules.match(/- alert:/g) ?? []).length);
    await waitFor(
      async () => {
        const now = await ask<{ groups: { rules: { health: string }[] }[] }>("rules");
        return now.groups.flatMap((group) => group.rules).every(({ health }) => health === "ok");
      },
      { what: "all rules to have been evaluated without an error" },
    );
    const hasTask = async () => (await firing("PortmeshServiceWithoutTask")).length === 0;
    await waitFor(hasTask, { what: "both nodes to know the task" });
    await task.kill();
    const noTask = async () => {
      await Promise.allSettled(cluster.nodes.map(({ address }) => fetch(`http://${address}:${published}/`)));
      return (await firing("PortmeshServiceWithoutTask")).some(({ labels }) => labels.service === "web");
    };
    await waitFor(noTask, { what: "an alert for the service without a task" });
    const killed = cluster.nodes[1]!;
    await killed.kill();
    const isDown = async () =>
      (await firing("PortmeshDown")).some(({ labels }) => targets.get(labels.instance!) === killed);
    await waitFor(isDown, { what: "an alert for the node that does not answer" });
  });

  test("gets OpenMetrics, compressed", async () => {
    const [target] = [...targets.keys()] as [string];
    const headers = { accept: `${OPENMETRICS},text/plain;q=0.5`, "accept-encoding": "gzip" };
    const response = await fetch(`http://${target}/metrics`, { headers });
    expect(response.headers.get("content-type")).toStartWith("application/openmetrics-text");
    expect((await response.text()).endsWith("# EOF\n")).toBe(true);
    const isScraped = async () => {
      const { activeTargets } = await ask<{ activeTargets: { health: string; lastError: string }[] }>(
        "targets",
      );
      return activeTargets.every(({ health, lastError }) => health === "up" && lastError === "");
    };
    await waitFor(isScraped, { what: "both nodes to be scraped without an error" });
  });
});
