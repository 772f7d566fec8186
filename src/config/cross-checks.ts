/**
 * What no key can tell alone: names and tasks given twice, ports claimed twice, options without effect.
 *
 * Works on the file's raw values and passes over what the schema has refused, so that one wrong key hides no other
 * problem. Its own findings never repeat the schema's.
 */
import { isIP } from "node:net";
import { findExcess, findLabelFault, MAX_TASKS_PER_NODE } from "../wire/index.ts";
import { canBindsOverlap } from "./address.ts";
import { type ConfigDocument, valueAt } from "./document.ts";
import { findUselessOptions, type ServiceOption } from "./option-rules.ts";
import { formatRange, type PortRange } from "./port-range.ts";
import { formatPath, type Path, showValue } from "./problem.ts";
import {
  bindList,
  gossipBind,
  labelTable,
  ownAddress,
  publishEntry,
  serviceName,
  taskEntry,
} from "./schema.ts";
import { isLoopback } from "./unreachable-address.ts";

/** Both protocols on every port of two addresses; more would be a mistake and costs memory per port. */
const maxPorts = 4 * 65_535;

const MEANT_FOR_A_CLUSTER: readonly Path[] = [
  ["node", "advertise"],
  ...["driver", "port", "vni", "subnet", "encrypt"].map((key) => ["overlay", key]),
];

interface Claim {
  readonly range: PortRange;
  readonly bind: readonly string[];
  readonly nodes: Readonly<Record<string, string>>;
  readonly path: Path;
  /** Position in the file: of two rival claims the later one is the problem. */
  readonly order: number;
}

export function crossCheck(document: ConfigDocument): void {
  checkCluster(document);
  const services = listAt(document, ["services"]);
  const claims: Claim[] = [];
  const names = new Map<string, Path>();
  for (const index of services.keys()) {
    const path = ["services", index];
    const ranges = readRanges(document, path);
    checkName(document, path, names);
    checkTasks(document, path);
    checkOptions(document, path, ranges);
    checkLimits(document, path, ranges);
    claims.push(...readClaims(document, path, ranges, claims.length));
  }
  checkCounts(document, services);
  checkPortCount(document, claims);
  checkClaims(document, claims);
}

/** Keys that mean nothing to a node alone, and the ones without which a cluster is open to everybody. */
function checkCluster(document: ConfigDocument): void {
  const cluster = valueAt(document.value, ["cluster"]);
  if (cluster === undefined) {
    for (const path of MEANT_FOR_A_CLUSTER) {
      const value = valueAt(document.value, path);
      if (value !== undefined) document.report(path, value, "has no effect without [cluster]");
    }
    return;
  }
  const { keys, bind, insecure } = (cluster ?? {}) as Record<string, unknown>;
  const encrypt = valueAt(document.value, ["overlay", "encrypt"]);
  if (encrypt === true && !(Array.isArray(keys) && keys.length > 0)) {
    const message =
      "nothing can be encrypted without cluster.keys: set them to what `portmesh keygen` prints";
    document.report(["overlay", "encrypt"], encrypt, message);
  }
  const host = parseGossipBind(bind);
  if (host !== null) checkAdvertise(document, host);
  if (host === null || (Array.isArray(keys) && keys.length > 0) || insecure === true) return;
  if (isLoopback(host)) return;
  document.reportUnquoted(
    bind === undefined ? ["cluster"] : ["cluster", "bind"],
    bind,
    "without cluster.keys anybody who reaches this address can join: set keys to what `portmesh keygen` prints, " +
      "bind to loopback, or say insecure = true",
  );
}

/** null: not an address at all, which is told elsewhere. */
function parseGossipBind(bind: unknown): string | null {
  if (bind === undefined) return "0.0.0.0";
  return gossipBind.safeParse(bind).data?.host ?? null;
}

/** What only makes sense together with where this node listens. */
function checkAdvertise(document: ConfigDocument, bindHost: string): void {
  const path = ["node", "advertise"];
  const address = ownAddress.safeParse(valueAt(document.value, path)).data;
  if (address === undefined) return;
  const value = showValue(address);
  const [family, bindFamily] = [isIP(address), isIP(bindHost)];
  if (family !== bindFamily) {
    const message = `${value} is an IPv${family} address, but cluster.bind ${showValue(bindHost)} listens on IPv${bindFamily} only`;
    document.report(path, address, message);
  } else if (isLoopback(address) && !isLoopback(bindHost)) {
    const message = `${value} is reached by this machine alone: set an address that other nodes reach`;
    document.report(path, address, message);
  }
}

function checkName(document: ConfigDocument, service: Path, names: Map<string, Path>): void {
  const path = [...service, "name"];
  const name = serviceName.safeParse(valueAt(document.value, path)).data;
  if (name === undefined) return;
  const first = names.get(name);
  if (first === undefined) names.set(name, path);
  else document.report(path, name, `${showValue(name)} is also the name of ${where(document, first)}`);
}

function checkTasks(document: ConfigDocument, service: Path): void {
  const seen = new Map<string, Path>();
  for (const [index, value] of listAt(document, [...service, "tasks"]).entries()) {
    const task = taskEntry.safeParse(value).data;
    if (task === undefined) continue;
    const path = [...service, "tasks", index];
    const key = `${task.host} ${task.port}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else
      document.report(path, value, `${showValue(task.name)} is the same task as ${where(document, first)}`);
  }
}

function checkOptions(document: ConfigDocument, service: Path, ranges: readonly (PortRange | null)[]): void {
  if (ranges.length === 0 || ranges.includes(null)) return; // what is published is not known
  const protocols = new Set(ranges.flatMap((range) => range?.protocol ?? []));
  const given = (key: ServiceOption) => valueAt(document.value, [...service, ...key.split(".")]);
  for (const { option, message } of findUselessOptions(protocols, given, (key) => key)) {
    document.report([...service, option], given(option), message);
  }
}

/** One entry per `publish` entry; null where it is wrong. */
function readRanges(document: ConfigDocument, service: Path): (PortRange | null)[] {
  return listAt(document, [...service, "publish"]).map((entry) => publishEntry.safeParse(entry).data ?? null);
}

/** None when the bind rules of the service are wrong: what it claims is not known then. */
function readClaims(
  document: ConfigDocument,
  service: Path,
  ranges: readonly (PortRange | null)[],
  firstOrder: number,
): Claim[] {
  const own = valueAt(document.value, [...service, "bind"]);
  const bind = bindList.safeParse(own ?? valueAt(document.value, ["proxy", "bind"]) ?? []).data;
  const nodes = labelTable.safeParse(valueAt(document.value, [...service, "nodes"]) ?? {}).data;
  if (bind === undefined || nodes === undefined) return [];
  return ranges.flatMap((range, index) => {
    const path = [...service, "publish", index];
    return range === null ? [] : [{ range, bind, nodes, path, order: firstOrder + index }];
  });
}

/** What the catalog holds of one service: the same function decides there. */
function checkLimits(document: ConfigDocument, service: Path, ranges: readonly (PortRange | null)[]): void {
  const texts = (key: string) =>
    listAt(document, [...service, key]).filter((text) => typeof text === "string");
  const excess = findExcess({
    publish: ranges.filter((range) => range !== null),
    acceptProxy: texts("accept_proxy"),
    allow: texts("allow"),
    deny: texts("deny"),
    bind: texts("bind"),
    nodes: labelsAt(document, [...service, "nodes"]),
  });
  if (excess === null) return;
  const path = [...service, excess.field === "acceptProxy" ? "accept_proxy" : excess.field];
  document.reportUnquoted(path, sizeAt(document, path), excess.message);
}

/** Of the whole file, and of this node. */
function checkCounts(document: ConfigDocument, services: readonly unknown[]): void {
  const report = (path: Path, message: string) =>
    document.reportUnquoted(path, sizeAt(document, path), message);
  const labels = findLabelFault(labelsAt(document, ["node", "labels"]));
  if (labels !== null) report(["node", "labels"], labels);
  const tasks = [...services.keys()].reduce(
    (sum, index) => sum + listAt(document, ["services", index, "tasks"]).length,
    0,
  );
  if (tasks > MAX_TASKS_PER_NODE)
    report(["services"], `${tasks} tasks in all: a node has at most ${MAX_TASKS_PER_NODE}`);
}

/** Of a list or table too long to be shown. */
function sizeAt(document: ConfigDocument, path: Path): number {
  return Object.keys((valueAt(document.value, path) ?? {}) as object).length;
}

/** {} when they are wrong: that is told elsewhere. */
function labelsAt(document: ConfigDocument, path: Path): Readonly<Record<string, string>> {
  return labelTable.safeParse(valueAt(document.value, path) ?? {}).data ?? {};
}

function checkPortCount(document: ConfigDocument, claims: readonly Claim[]): void {
  const count = claims.reduce((sum, claim) => sum + claim.range.count, 0);
  if (count > maxPorts) {
    document.report(["services"], count, `${count} published ports in all: at most ${maxPorts} are allowed`);
  }
}

/** Sweeps over the ports in ascending order; `open` holds the claims that may still meet the next one. */
function checkClaims(document: ConfigDocument, claims: readonly Claim[]): void {
  for (const protocol of ["tcp", "udp"]) {
    const sorted = claims
      .filter((claim) => claim.range.protocol === protocol)
      .sort((a, b) => a.range.published - b.range.published || a.order - b.order);
    let open: Claim[] = [];
    for (const claim of sorted) {
      open = open.filter((other) => lastPort(other) >= claim.range.published);
      const rival = open.find((other) => canMeet(other, claim));
      if (rival !== undefined) reportClash(document, claim, rival);
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
  const hint = isSameService ? "" : "; bind the services to different addresses to share the port";
  const place = where(document, first.path);
  document.report(
    second.path,
    valueAt(document.value, second.path),
    `${formatRange(second.range)} claims ${port}/${second.range.protocol}, already published by ${place}${owner}${hint}`,
  );
}

/** Two services can share a port on different addresses, or on nodes that no selector of both matches. */
function canMeet(one: Claim, other: Claim): boolean {
  const isDisjoint = Object.entries(one.nodes).some(
    ([key, value]) => Object.hasOwn(other.nodes, key) && other.nodes[key] !== value,
  );
  return !isDisjoint && canBindsOverlap(one.bind, other.bind);
}

function lastPort(claim: Claim): number {
  return claim.range.published + claim.range.count - 1;
}

/** "services[0].name (line 12)" */
function where(document: ConfigDocument, path: Path): string {
  return `${formatPath(path)} (line ${document.placeOf(path).line})`;
}

function listAt(document: ConfigDocument, path: Path): readonly unknown[] {
  const value = valueAt(document.value, path);
  return Array.isArray(value) ? value : [];
}
