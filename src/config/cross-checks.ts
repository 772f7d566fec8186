/**
 * What no key can tell alone: names and tasks given twice, ports claimed twice, options without effect.
 *
 * Takes what could be read of each part and passes over what could not, so that one wrong key hides no other problem.
 */

import { isIP } from "node:net";
import {
  canPortsConflict,
  findUselessOptions,
  formatRange,
  type Labels,
  MAX_PORTS_PER_FILE,
  MAX_TASKS_PER_NODE,
  namesOfPort,
  type PortRange,
  type ServiceOption,
  showValue,
  whyNoCheckPort,
} from "../model/index.ts";
import { type ConfigDocument, valueAt } from "./document.ts";
import { formatPath, type Path } from "./problem.ts";
import type { ServiceReading, SettingsReading } from "./readings.ts";
import { isLoopback } from "./unreachable-address.ts";

const MEANT_FOR_A_CLUSTER: readonly Path[] = [
  ["node", "advertise"],
  ...["driver", "port", "vni", "subnet", "encrypt"].map((key) => ["overlay", key]),
];

interface Claim {
  readonly range: PortRange;
  readonly bind: readonly string[];
  readonly nodes: Labels;
  readonly path: Path;
  /** Position in the file: of two rival claims the later one is the problem. */
  readonly order: number;
}

export function crossCheck(
  document: ConfigDocument,
  settings: SettingsReading,
  services: readonly ServiceReading[],
): void {
  checkCluster(document, settings);
  checkAdmin(document, settings);
  const claims: Claim[] = [];
  const names = new Map<string, Path>();
  for (const [index, service] of services.entries()) {
    const path = ["services", index];
    checkName(document, path, service, names);
    checkTasks(document, path, service);
    checkOptions(document, path, service);
    claims.push(...readClaims(path, service, settings.proxyBind, claims.length));
  }
  checkCounts(document, services);
  checkClaims(document, claims);
}

/** Keys that have no effect without a cluster, and those without which anybody can join it. */
function checkCluster(document: ConfigDocument, { bindHost, advertise }: SettingsReading): void {
  const cluster = valueAt(document.value, ["cluster"]);
  if (cluster === undefined) {
    for (const path of MEANT_FOR_A_CLUSTER) {
      const value = valueAt(document.value, path);
      if (value !== undefined) document.report(path, value, "has no effect without [cluster]");
    }
    return;
  }
  const { keys, keys_file: keysFile, bind, insecure } = (cluster ?? {}) as Record<string, unknown>;
  const hasKeys = keysFile !== undefined || (Array.isArray(keys) && keys.length > 0);
  if (keys !== undefined && keysFile !== undefined) {
    document.reportUnquoted(
      ["cluster", "keys_file"],
      keysFile,
      "cluster.keys is set as well: remove one of the two",
    );
  }
  const encrypt = valueAt(document.value, ["overlay", "encrypt"]);
  if (encrypt === true && !hasKeys) {
    const message = "cannot encrypt without cluster.keys: set them to the output of `portmesh keygen`";
    document.report(["overlay", "encrypt"], encrypt, message);
  }
  if (bindHost === null) return;
  if (advertise !== null) checkAdvertise(document, advertise, bindHost);
  if (hasKeys || insecure === true || isLoopback(bindHost)) return;
  document.reportUnquoted(
    bind === undefined ? ["cluster"] : ["cluster", "bind"],
    bind,
    "without cluster.keys anyone who can reach this address can join: set keys to the output of `portmesh keygen`, " +
      "bind to loopback, or set insecure = true",
  );
}

const OF_ADMIN_LISTEN = ["hosts", "tokens_file", "tls_cert", "tls_key"] as const;

/** Who reaches the API controls the node. */
function checkAdmin(document: ConfigDocument, { adminHost }: SettingsReading): void {
  const given = (key: string) => valueAt(document.value, ["admin", key]);
  const listen = given("listen");
  if (listen === undefined || listen === "") {
    for (const key of OF_ADMIN_LISTEN)
      if (given(key) !== undefined)
        document.reportUnquoted(["admin", key], given(key), "has no effect without admin.listen");
    return;
  }
  for (const [key, other] of [
    ["tls_cert", "tls_key"],
    ["tls_key", "tls_cert"],
  ] as const)
    if (given(key) !== undefined && given(other) === undefined)
      document.reportUnquoted(["admin", key], given(key), `has no effect without admin.${other}`);
  if (adminHost === null || isLoopback(adminHost) || given("tokens_file") !== undefined) return;
  const message =
    `${showValue(listen)} is reachable from other machines: set tokens_file to a file with lines like ` +
    "`read-write TOKEN` (`portmesh keygen` prints a token), or listen on 127.0.0.1";
  document.reportUnquoted(["admin", "listen"], listen, message);
}

/** Together with where this node listens. */
function checkAdvertise(document: ConfigDocument, address: string, bindHost: string): void {
  const path = ["node", "advertise"];
  const value = showValue(address);
  const [family, bindFamily] = [isIP(address), isIP(bindHost)];
  if (family !== bindFamily) {
    const message = `${value} is an IPv${family} address, but cluster.bind ${showValue(bindHost)} listens on IPv${bindFamily} only`;
    document.report(path, address, message);
  } else if (isLoopback(address) && !isLoopback(bindHost)) {
    const message = `${value} is reachable from this machine only: set an address that other nodes can reach`;
    document.report(path, address, message);
  }
}

function checkName(
  document: ConfigDocument,
  service: Path,
  { name }: ServiceReading,
  names: Map<string, Path>,
): void {
  const path = [...service, "name"];
  if (name === null) return;
  const first = names.get(name);
  if (first === undefined) names.set(name, path);
  else document.report(path, name, `${showValue(name)} is also the name of ${where(document, first)}`);
}

function checkTasks(document: ConfigDocument, service: Path, { tasks }: ServiceReading): void {
  const seen = new Map<string, Path>();
  for (const [index, task] of tasks.entries()) {
    if (task === null) continue;
    const path = [...service, "tasks", index];
    const key = `${task.host} ${task.port}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else {
      const value = valueAt(document.value, path);
      document.report(path, value, `${showValue(task.name)} is the same task as ${where(document, first)}`);
    }
  }
}

function checkOptions(document: ConfigDocument, service: Path, { publish, data }: ServiceReading): void {
  checkHealth(document, service);
  if (publish.length === 0 || publish.includes(null)) return; // what is published is not known
  const protocols = new Set(publish.flatMap((range) => range?.protocol ?? []));
  const given = (key: ServiceOption) => valueAt(document.value, [...service, ...key.split(".")]);
  for (const { option, message } of findUselessOptions(protocols, given, (key) => key)) {
    document.report([...service, option], given(option), message);
  }
  const check = data?.check;
  const fault = check === undefined ? null : whyNoCheckPort(check, protocols);
  if (fault !== null) document.reportUnquoted([...service, "check"], check, fault);
}

/** Keys that go by the health of tasks. */
function checkHealth(document: ConfigDocument, service: Path): void {
  if (valueAt(document.value, [...service, "check"]) !== undefined) return;
  for (const key of ["panic", "slow_start"]) {
    const value = valueAt(document.value, [...service, key]);
    if (value !== undefined) document.report([...service, key], value, "has no effect without check");
  }
}

/** None when the bind rules of the service are wrong: what it claims is not known then. */
function readClaims(
  service: Path,
  { publish, bind, nodes }: ServiceReading,
  proxyBind: readonly string[] | null,
  firstOrder: number,
): Claim[] {
  const rules = bind === undefined ? proxyBind : bind;
  if (rules === null || nodes === null) return [];
  return publish.flatMap((range, index) => {
    const path = [...service, "publish", index];
    return range === null ? [] : [{ range, bind: rules, nodes, path, order: firstOrder + index }];
  });
}

/** Of the whole file. */
function checkCounts(document: ConfigDocument, services: readonly ServiceReading[]): void {
  const tasks = services.reduce((sum, service) => sum + service.tasks.length, 0);
  const ports = services
    .flatMap(({ publish }) => publish)
    .reduce((sum, range) => sum + (range?.count ?? 0), 0);
  for (const [count, most, message] of [
    [tasks, MAX_TASKS_PER_NODE, `${tasks} tasks in all: a node has at most ${MAX_TASKS_PER_NODE}`],
    [ports, MAX_PORTS_PER_FILE, `${ports} published ports in all: at most ${MAX_PORTS_PER_FILE} are allowed`],
  ] as const) {
    if (count > most) document.reportUnquoted(["services"], count, message);
  }
}

/**
 * Of each protocol and server name: claims of different names do not conflict. Sweeps over the ports in ascending order;
 * `open` holds the claims that may still conflict with the next one.
 */
function checkClaims(document: ConfigDocument, claims: readonly Claim[]): void {
  const byName = new Map<string, Claim[]>();
  for (const claim of claims) {
    const { protocol } = claim.range;
    // one service has a port once, whatever the names
    const keys = [
      `${claim.path[1]} ${protocol}`,
      ...namesOfPort(claim.range).map((name) => `${protocol} ${name}`),
    ];
    for (const key of keys) {
      const others = byName.get(key);
      if (others === undefined) byName.set(key, [claim]);
      else others.push(claim);
    }
  }
  const reported = new Set<string>();
  for (const group of byName.values()) {
    const sorted = group.sort((a, b) => a.range.published - b.range.published || a.order - b.order);
    let open: Claim[] = [];
    for (const claim of sorted) {
      open = open.filter((other) => lastPort(other) >= claim.range.published);
      const rival = open.find((other) => canPortsConflict(other, claim));
      if (rival !== undefined) {
        // two services may have several names in common
        const pair = [claim.order, rival.order].sort().join();
        if (!reported.has(pair)) reportClash(document, claim, rival);
        reported.add(pair);
      }
      // A rival that reaches further makes the same complaints; many equal claims must not become many pairs.
      if (rival === undefined || lastPort(rival) < lastPort(claim)) open.push(claim);
    }
  }
}

function reportClash(document: ConfigDocument, one: Claim, other: Claim): void {
  const [first, second] = one.order < other.order ? [one, other] : [other, one];
  const port = Math.max(one.range.published, other.range.published);
  const publisher = valueAt(document.value, [...first.path.slice(0, 2), "name"]);
  const isSameService = first.path[1] === second.path[1];
  const owner = isSameService ? "" : ` of ${showValue(publisher)}`;
  const isByName = first.range.sni !== undefined;
  const hint = isSameService
    ? ""
    : `; ${isByName ? "give them different server names" : "bind the services to different addresses"} to share the port`;
  const place = where(document, first.path);
  document.report(
    second.path,
    valueAt(document.value, second.path),
    `${formatRange(second.range)} claims ${port}/${second.range.protocol}, already published by ${place}${owner}${hint}`,
  );
}

function lastPort(claim: Claim): number {
  return claim.range.published + claim.range.count - 1;
}

/** "services[0].name (line 12)" */
function where(document: ConfigDocument, path: Path): string {
  return `${formatPath(path)} (line ${document.placeOf(path).line})`;
}
