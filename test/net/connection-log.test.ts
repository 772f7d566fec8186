/**
 * The connection log of the compiled executable: one record for every way a connection or session can end, in each format,
 * which of them are written, and what a reload changes.
 *
 *   clients ──▶ n1 ──▶ tasks here          n1 ──relay──▶ n2 ──▶ its tasks
 */
import { afterEach, describe, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { request } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort, freePorts } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function keep<T extends { close(): unknown }>(thing: T): T {
  cleanUps.push(() => thing.close());
  return thing;
}

interface Line {
  readonly msg: string;
  readonly level: string;
  readonly reason?: string;
  readonly [field: string]: unknown;
}

/** Whole lines that are JSON. */
function linesOf(log: string): Line[] {
  return log
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Line] : []));
}

function recordsOf(log: string): Line[] {
  return linesOf(log).filter(({ reason, msg }) => reason !== undefined && / ended: /.test(msg));
}

interface Rules {
  readonly log?: string;
  readonly service?: string;
  readonly tasks?: readonly string[];
  readonly suffix?: string;
}

/** One node with one service. */
class LoggedNode {
  #seen = 0;

  private constructor(
    readonly node: NodeProcess,
    readonly published: number,
    readonly task: RawListener,
  ) {}

  static async start(rules: Rules = {}): Promise<LoggedNode> {
    const task = keep(RawListener.open());
    const published = await freePort();
    const node = await NodeProcess.start(fileOf(published, task.port, rules));
    cleanUps.push(() => node.kill());
    return new LoggedNode(node, published, task);
  }

  async change(rules: Rules): Promise<void> {
    const report = await this.node.reload(fileOf(this.published, this.task.port, rules));
    expect(report.problems).toEqual([]);
  }

  async connect(): Promise<RawSocket> {
    return keep(await RawSocket.connect(this.published));
  }

  /** A client that is reset, perhaps before `connect` returns. */
  async expectReset(): Promise<void> {
    const failure = this.connect().then(
      (client) => client.failure(),
      (error: { readonly code: string }) => error.code,
    );
    expect(await failure).toBe("ECONNRESET");
  }

  /** Both ends of a connection that has carried bytes each way. */
  async open(): Promise<{ client: RawSocket; served: RawSocket }> {
    const client = await this.connect();
    await client.send("ping");
    const served = keep(await this.task.accept());
    expect(await served.receiveText(4)).toBe("ping");
    await served.send("pong!");
    expect(await client.receiveText(5)).toBe("pong!");
    return { client, served };
  }

  /** The next record. */
  async next(): Promise<Line> {
    const at = this.#seen++;
    return waitFor(() => recordsOf(this.node.log)[at], { what: `record ${at + 1}` });
  }

  get count(): number {
    return recordsOf(this.node.log).length;
  }
}

function fileOf(published: number, target: number, { log = 'connections = "all"', ...rules }: Rules): string {
  const { service = "", tasks = ["127.0.0.1"], suffix = "" } = rules;
  return `[log]
${log}
[proxy]
workers = 1
bind = ["127.0.0.1"]
[[services]]
name = "web"
publish = ["${published}:${target}${suffix}"]
tasks = [${tasks.map((task) => (task.startsWith("{") ? task : `"${task}"`)).join(", ")}]
${service}`;
}

describe("a TCP connection that", () => {
  test("ends in order, or is reset by one side, has a record with everything", async () => {
    const logged = await LoggedNode.start();
    const { published, task } = logged;
    const one = await logged.open();
    one.served.close();
    expect(await one.client.receiveRest()).toBe("");
    one.client.close();
    const done = await logged.next();
    expect(done).toMatchObject({
      level: "info",
      service: "web",
      protocol: "tcp",
      published,
      listen: "127.0.0.1",
      task: "127.0.0.1",
      address: `127.0.0.1:${task.port}`,
      path: "local",
      waitMs: 0,
      bytesIn: 4,
      bytesOut: 5,
      reason: "done",
      state: "--",
      endedBy: null,
      phase: null,
      attempts: 1,
      retries: 0,
      hedges: 0,
      open: 1,
      openOfService: 1,
      openOfTask: 1,
      msg: "connection ended: done",
    });
    expect(done.client).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(done.entryNode).toBe(done.exitNode as string);
    expect(Date.parse(done.time as string)).toBeGreaterThanOrEqual(Date.parse(done.acceptedAt as string));

    (await logged.open()).client.reset();
    expect(await logged.next()).toMatchObject({
      reason: "client-reset",
      state: "CD",
      endedBy: "client",
      phase: "data",
    });
    (await logged.open()).served.reset();
    expect(await logged.next()).toMatchObject({
      reason: "task-reset",
      state: "SD",
      endedBy: "task",
      phase: "data",
    });
    const last = await logged.open();
    last.served.finish();
    expect(await last.client.receiveRest()).toBe("");
    last.client.reset();
    expect(await logged.next()).toMatchObject({ reason: "client-reset", state: "CL", phase: "last-data" });
  });

  test("is not admitted has a record that names the rule", async () => {
    const logged = await LoggedNode.start({ service: 'deny = ["127.0.0.0/8"]' });
    await logged.expectReset();
    expect(await logged.next()).toMatchObject({
      reason: "denied",
      state: "PR",
      endedBy: "portmesh",
      phase: "header",
      task: null,
      exitNode: null,
      path: null,
      waitMs: null,
      connectMs: null,
      attempts: 0,
    });
    await logged.change({ service: "max_connections = 1" });
    await logged.open();
    await logged.expectReset();
    expect(await logged.next()).toMatchObject({ reason: "connection-limit", state: "PR", openOfService: 1 });
  });

  test("sends a PROXY header has both addresses; one without it says so", async () => {
    const logged = await LoggedNode.start({ service: 'accept_proxy = ["127.0.0.1"]' });
    const named = await logged.connect();
    await named.send("PROXY TCP4 203.0.113.5 192.0.2.9 4000 80\r\nhello");
    const served = keep(await logged.task.accept());
    expect(await served.receiveText(5)).toBe("hello");
    served.reset();
    const record = await logged.next();
    expect(record).toMatchObject({ client: "203.0.113.5:4000", reason: "task-reset" });
    expect(record.peer).toMatch(/^127\.0\.0\.1:\d+$/);

    await (await logged.connect()).send("GET / HTTP/1.0\r\n");
    expect(await logged.next()).toMatchObject({
      reason: "bad-proxy-header",
      state: "PR",
      endedBy: "portmesh",
    });
    (await logged.connect()).finish();
    expect(await logged.next()).toMatchObject({ reason: "client-gone", state: "CR", endedBy: "client" });
    await logged.connect(); // sends nothing
    expect(await logged.next()).toMatchObject({ reason: "bad-proxy-header", state: "cR", endedBy: "client" });
  });

  test("finds no task has a record with the last error and the attempts", async () => {
    const [first, second] = (await freePorts(2)) as [number, number];
    const logged = await LoggedNode.start({ tasks: [`127.0.0.1:${first}`, `127.0.0.1:${second}`] });
    await logged.expectReset();
    expect(await logged.next()).toMatchObject({
      reason: "no-task",
      state: "SC",
      endedBy: "task",
      phase: "connect",
      error: "connection refused",
      connectMs: null,
      attempts: 2,
      retries: 1,
    });
  });

  test("is served by the second task that is tried says so", async () => {
    const dead = await freePort();
    const logged = await LoggedNode.start();
    await logged.change({ tasks: [`127.0.0.1:${dead}`, `127.0.0.1:${logged.task.port}`] });
    // the first to meet the dead task is retried
    const retried = await waitFor(
      async () => {
        const { client, served } = await logged.open();
        served.close();
        await client.receiveRest();
        client.close();
        const record = await logged.next();
        expect(record).toMatchObject({ reason: "done", address: `127.0.0.1:${logged.task.port}` });
        return record.attempts === 2 && record;
      },
      { what: "a connection that met the dead task" },
    );
    expect(retried).toMatchObject({ retries: 1, hedges: 0 });
  });

  test("is idle, or whose task goes, is ended by portmesh", async () => {
    const logged = await LoggedNode.start({ service: 'idle_timeout = "2s"' });
    await logged.open();
    expect(await logged.next()).toMatchObject({ reason: "idle", state: "cD" });
    await logged.change({ service: 'drain_timeout = "0s"' });
    await logged.open();
    await logged.change({ service: 'drain_timeout = "0s"', tasks: [] });
    expect(await logged.next()).toMatchObject({ reason: "drained", state: "KD", endedBy: "portmesh" });
  });
});

describe("a UDP session", () => {
  test("has one record at its end, with what it carried", async () => {
    const task = keep(await UdpPeer.task());
    const logged = await LoggedNode.start({
      suffix: "/udp",
      tasks: [`127.0.0.1:${task.port}`],
    });
    const client = keep(await UdpPeer.open());
    await client.ask("12345", logged.published);
    await client.ask("123", logged.published);
    await logged.change({}); // the port is TCP now
    const record = await logged.next();
    expect(record).toMatchObject({
      service: "web",
      protocol: "udp",
      listen: "127.0.0.1",
      client: `127.0.0.1:${client.port}`,
      address: `127.0.0.1:${task.port}`,
      path: "local",
      bytesIn: 8,
      bytesOut: 8,
      datagramsIn: 2,
      datagramsOut: 2,
      reason: "done",
      state: "--",
      openOfService: 1,
      openOfTask: 1,
      msg: "UDP session ended: done",
    });
  });

  test("whose task refuses says so", async () => {
    const logged = await LoggedNode.start({
      log: 'connections = "errors"',
      suffix: "/udp",
      tasks: [`127.0.0.1:${await freePort()}`],
    });
    const client = keep(await UdpPeer.open());
    client.send("to nobody", logged.published);
    await waitFor(
      async () => (await logged.node.status()).proxy.services[0]!.tasks[0]!.connectFailuresTotal > 0,
      { what: "the ICMP error" },
    );
    await logged.change({ log: 'connections = "errors"' });
    expect(await logged.next()).toMatchObject({
      reason: "unreachable",
      state: "SD",
      endedBy: "task",
      error: "connection refused",
      datagramsIn: 1,
      datagramsOut: 0,
    });
  });
});

describe("log.connections", () => {
  const finish = async (logged: LoggedNode, how: "in order" | "reset") => {
    const { client, served } = await logged.open();
    if (how === "reset") client.reset();
    else {
      served.close();
      await client.receiveRest();
      client.close();
    }
    await waitFor(async () => (await logged.node.status()).proxy.services[0]!.tcp.openConnections === 0, {
      what: "the connection to end",
    });
  };

  test("is errors at first; off, all and sampled:N follow a reload", async () => {
    const logged = await LoggedNode.start({ log: "" });
    await finish(logged, "in order");
    await finish(logged, "reset");
    expect(await logged.next()).toMatchObject({ reason: "client-reset" });

    await logged.change({ log: 'connections = "off"' });
    await finish(logged, "reset");
    await logged.change({ log: 'connections = "all"' });
    await finish(logged, "in order");
    expect(await logged.next()).toMatchObject({ reason: "done" });

    await logged.change({ log: 'connections = "sampled:4"' });
    for (let i = 0; i < 8; i++) await finish(logged, "in order");
    await finish(logged, "reset");
    expect([
      (await logged.next()).reason,
      (await logged.next()).reason,
      (await logged.next()).reason,
    ]).toEqual(["done", "done", "client-reset"]);
    expect(logged.count).toBe(5);
  });

  test("whatever log.level says; what is over log.connection_rate is counted", async () => {
    const logged = await LoggedNode.start({
      log: 'level = "warn"\nconnections = "all"\nconnection_rate = 3',
    });
    const enough = 40;
    const clients = await Promise.all(Array.from({ length: enough }, () => logged.connect()));
    for (const client of clients) client.reset();
    const suppressed = () =>
      linesOf(logged.node.log).reduce((sum, line) => sum + ((line.suppressed as number | undefined) ?? 0), 0);
    await waitFor(() => logged.count + suppressed() === enough, { what: "all of them, or their count" });
    expect(suppressed()).toBeGreaterThan(0);
    expect(linesOf(logged.node.log).find((line) => "suppressed" in line)).toMatchObject({ level: "warn" });
  });
});

test("connections that are open when the node stops have their records before its last line", async () => {
  const logged = await LoggedNode.start({ service: 'drain_timeout = "0s"' });
  await logged.open();
  await logged.node.stop();
  const lines = linesOf(logged.node.log);
  expect(lines.findIndex(({ reason }) => reason === "drained")).toBe(lines.length - 2);
  expect(lines.at(-1)!.msg).toStartWith("stopped");
});

test("a process that another takes over from goes on writing the lines of its own connections", async () => {
  const echo = keep(await UdpPeer.task());
  const logged = await LoggedNode.start();
  const [tcp, udp] = (await freePorts(2)) as [number, number];
  const file = `[log]
connections = "all"
[proxy]
workers = 1
bind = ["127.0.0.1"]
[[services]]
name = "held"
publish = ["${tcp}:${logged.task.port}"]
tasks = ["127.0.0.1"]
[[services]]
name = "dns"
publish = ["${udp}:${echo.port}/udp"]
tasks = ["127.0.0.1"]
`;
  expect((await logged.node.reload(file)).problems).toEqual([]);
  const client = keep(await RawSocket.connect(tcp));
  await client.send("ping");
  const served = keep(await logged.task.accept());
  expect(await served.receiveText(4)).toBe("ping");
  const asking = keep(await UdpPeer.open());
  await asking.ask("before", udp);
  const { pid } = await logged.node.status();
  const upgraded = await portmesh("upgrade", "--socket", logged.node.socket);
  expect(upgraded).toMatchObject({ exitCode: 0, stderr: "" });
  cleanUps.push(async () => process.kill((await logged.node.status()).pid, "SIGKILL"));
  await asking.ask("after", udp);
  served.reset();
  await logged.node.reload(file.slice(0, file.lastIndexOf("[[services]]"))); // without "dns"
  const records = (service: string) => recordsOf(logged.node.log).filter((line) => line.service === service);
  await waitFor(() => records("held").length === 1 && records("dns").length === 2, { what: "three records" });
  expect((await logged.node.status()).pid).not.toBe(pid);
  expect(records("held")[0]).toMatchObject({ reason: "task-reset", state: "SD", bytesIn: 4 });
  expect(records("dns")).toMatchObject([
    { reason: "handed-over", state: "--", datagramsIn: 1, bytesIn: 6 },
    { reason: "done", state: "--", datagramsIn: 1, bytesIn: 5 },
  ]);
});

test.skipIf(lacks("halog"))("the haproxy format is read by halog; a reload brings it", async () => {
  const logged = await LoggedNode.start();
  await logged.change({ log: 'connections = "all"\nconnection_format = "haproxy"' });
  const first = await logged.open();
  first.served.close();
  await first.client.receiveRest();
  first.client.close();
  (await logged.open()).client.reset();
  (await logged.open()).served.reset();
  await logged.change({
    log: 'connections = "all"\nconnection_format = "haproxy"',
    service: 'deny = ["127.0.0.1"]',
  });
  await logged.expectReset();
  const isRecord = (line: string) => line.startsWith("127.0.0.1:");
  const records = () => logged.node.log.split("\n").slice(0, -1).filter(isRecord);
  await waitFor(() => records().length === 4, { what: "four records" });
  await logged.node.stop();
  const web = `web:${logged.published} web/`;
  const date = String.raw`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\]`;
  const served = (state: string) =>
    new RegExp(
      `^127\\.0\\.0\\.1:\\d+ ${date} ${web}127\\.0\\.0\\.1 0/\\d+/\\d+ 5 ${state} [12]/[12]/[12]/[12]/0 0/0$`,
    );
  const [done, clientReset, taskReset, denied] = records();
  expect(done).toMatch(served("--"));
  expect(clientReset).toMatch(served("CD"));
  expect(taskReset).toMatch(served("SD"));
  expect(denied).toMatch(
    new RegExp(`^127\\.0\\.0\\.1:\\d+ ${date} ${web}<NOSRV> -1/-1/0 0 PR [12]/[12]/[12]/0/0 0/0$`),
  );

  // as journalctl prints the log, the lines that are no records too
  const journal = logged.node.log.replace(/^(?=.)/gm, "Nov 28 09:20:17 host portmesh[123]: ");
  expect(halog(journal, "-c", "-time", "1")).toBe("4\n");
  expect(halog(journal, "-srv")).toContain("web/127.0.0.1 ");
  expect(halog(journal, "-srv")).toContain("web/<NOSRV> ");
});

function halog(log: string, ...args: string[]): string {
  const { stdout, exitCode } = Bun.spawnSync([findProgram("halog")!, ...args], { stdin: Buffer.from(log) });
  expect(exitCode).toBe(0);
  return stdout.toString();
}

test("a relayed connection or session has its record on the entry node, and none on the exit node", async () => {
  const task = startNamedTask("there");
  cleanUps.push(() => task.stop());
  const echo = keep(await UdpPeer.task());
  const dead = await freePort();
  const [web, broken, dns] = (await freePorts(3)) as [number, number, number];
  const cluster = await MeshCluster.start({
    label: "connection-log",
    places: loopbackPlaces(2),
    services: (_place, index) => {
      const there = (address: string) => (index === 1 ? [address] : []);
      const short = 'udp = { idle_timeout = "1s" }';
      return [
        '[log]\nconnections = "all"\n',
        serviceFile({ name: "web", publish: [`${web}:80`], tasks: there(`127.0.0.1:${task.port}`) }),
        serviceFile({ name: "broken", publish: [`${broken}:80`], tasks: there(`127.0.0.1:${dead}`) }),
        serviceFile({
          name: "dns",
          publish: [`${dns}:53/udp`],
          tasks: there(`127.0.0.1:${echo.port}`),
          extra: short,
        }),
      ].join("");
    },
  });
  cleanUps.push(() => cluster.close());
  const [n1, n2] = [cluster.node("n1"), cluster.node("n2")];
  await waitFor(async () => (await request(n1.address, web)).error === null, { what: "the task behind n2" });
  const client = keep(await UdpPeer.open());
  await waitFor(
    () => {
      client.send("12345", dns, n1.address);
      return client.received.length > 0;
    },
    { what: "an answer through n2" },
  );
  await request(n1.address, broken);
  const recorded = (service: string) => recordsOf(n1.log).filter((line) => line.service === service);
  const relayed = { entryNode: "n1", exitNode: "n2", path: "direct", listen: n1.address };
  const served = await waitFor(() => recorded("web").find(({ reason }) => reason === "done"), {
    what: "the record of a relayed request",
  });
  expect(served).toMatchObject({ ...relayed, state: "--", address: `127.0.0.1:${task.port}` });
  const failed = await waitFor(() => recorded("broken")[0], { what: "the record of a failed one" });
  expect(failed).toMatchObject({
    ...relayed,
    reason: "no-task",
    state: "SC",
    endedBy: "task",
    error: "connection refused",
  });
  const isAnswered = (line: Line) => (line.datagramsOut as number) > 0;
  const session = await waitFor(() => recorded("dns").find(isAnswered), {
    what: "the record of the UDP session",
  });
  expect(session).toMatchObject({
    ...relayed,
    protocol: "udp",
    state: "--",
    bytesIn: 5 * (session.datagramsIn as number),
    bytesOut: 5 * (session.datagramsOut as number),
  });
  expect(recordsOf(n2.log)).toEqual([]);
});
