/** The log lines for events of the cluster: one method per kind of event, one line per event. */
import type { Change, Definition, Overwritten, UnreadableRecord } from "../../catalog/index.ts";
import type { MemberEvent } from "../../membership/index.ts";
import type { EventKind } from "../../model/index.ts";
import type { Clock } from "../../sys/clock.ts";
import { type EventSink, NO_EVENTS } from "../events/events.ts";
import { LineBudget } from "../line-budget.ts";
import type { Log } from "../log.ts";
import { addressText } from "./address.ts";
import type { AddressChange } from "./address-watch.ts";

/** Interval at which a repeated fault of another node is logged: other hosts must not be able to fill the log. */
const REPEAT_MS = 60_000;
const MAX_LOGGED = 1_000;
/** After this node's address has changed: answers to the old one are lost, which says nothing about the network. */
const ADDRESS_CHANGE_MS = 10_000;

const REASONS: Readonly<Record<string, string>> = {
  "cannot-decrypt":
    "it is encrypted with a key that this node does not have: compare cluster.keys on both nodes",
  "not-encrypted": "it is not encrypted, but this node has keys: compare cluster.keys on both nodes",
  encrypted: "it is encrypted, but this node has no keys: compare cluster.keys on both nodes",
};

/** What a limit has done, and where. */
const LIMITS: Readonly<Record<string, string>> = {
  "too-many-connections":
    "gossip port: connection limit reached, closed the connection that was idle longest",
  "too-many-bytes": "gossip port: incomplete messages reached the limit of 16 MiB, closed a connection",
  "too-slow": "gossip port: closed a connection that sends less than 16 KiB/s",
  "too-many-dials": "gossip: connection limit reached, did not connect to another node",
};

type EventType = MemberEvent["type"] | "overwritten";

/** After the number of events that were not logged one by one. */
const SUMMARIES: Readonly<Partial<Record<EventType, string>>> = {
  joined: "more nodes are alive",
  cleared: "more nodes answer again",
  suspected: "more nodes do not answer",
  failed: "more nodes have failed",
  left: "more nodes have left",
  moved: "more nodes changed their address",
  refuted: "more times other nodes declared this node dead",
  conflict: "more names are used by two nodes",
  "other-cluster": "more nodes of other clusters were refused",
  incompatible: "more nodes with an incompatible protocol were refused",
  "udp-broken": "more nodes answer over TCP but not over UDP",
  overwritten: "more service changes were overwritten: see `portmesh service inspect`",
};

export class ClusterLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #events: EventSink;
  /** By type and what it is about; bounded by the types and MAX_LOGGED. */
  readonly #loggedAtMs = new Map<EventType, Map<string, number>>();
  readonly #budgets = new Map<EventType, LineBudget>(); // bounded by the types

  /** What goes wrong with UDP until then is because of this node's address. */
  #ownFaultUntilMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log, clock: Clock, events: EventSink = NO_EVENTS) {
    this.#log = log;
    this.#clock = clock;
    this.#events = events;
  }

  /** @param address of the member, "" when it is no longer known */
  member(event: MemberEvent, address: string): void {
    if (event.type === "udp-broken" && this.#clock.nowMs() < this.#ownFaultUntilMs) return;
    const key = rareKeyOf(event);
    if (key !== null && this.#wasLogged(event.type, key)) return;
    if (SUMMARIES[event.type] !== undefined && !this.#budgetOf(event.type).take()) return;
    this.#report(event, address);
  }

  #report(event: MemberEvent, address: string): void {
    switch (event.type) {
      case "joined":
        this.#record("node-joined", `node ${event.name} is alive (${address})`, event.name);
        return this.#log.info({ node: event.name, address }, `node ${event.name} is alive`);
      case "cleared":
        return this.#log.info({ node: event.name, address }, `node ${event.name} answers again`);
      case "suspected":
        return this.#log.warn({ node: event.name, address }, `node ${event.name} does not answer`);
      case "failed":
        this.#record(
          "node-failed",
          `node ${event.name} has failed: it does not answer (${address})`,
          event.name,
        );
        return this.#log.warn({ node: event.name, address }, `node ${event.name} has failed`);
      case "moved":
        return this.#log.info({ node: event.name, address }, `node ${event.name} moved to ${address}`);
      case "left":
        this.#record("node-left", `node ${event.name} has left`, event.name);
        return this.#log.info({ node: event.name, address }, `node ${event.name} has left`);
      case "refuted":
        return this.#log.warn(
          { by: event.by },
          `node ${event.by} declared this node dead; refuted: this node or the network was too slow`,
        );
      case "conflict": {
        const [known, other] = [addressText(event.known), addressText(event.other)];
        const text = `two nodes are named ${event.name}: ${known} and ${other}; change node.name on one of them`;
        this.#record("conflict", text, event.name);
        return this.#log.error({ node: event.name, address, other }, text);
      }
      case "other-cluster": {
        const other = addressText(event.address);
        return this.#log.error(
          { node: event.name, address: other, cluster: event.cluster },
          `refused node ${event.name} (${other}): it belongs to cluster "${event.cluster}"; compare cluster.name on both nodes`,
        );
      }
      case "incompatible":
        return this.#log.error(
          { node: event.name },
          `refused node ${event.name}: incompatible protocol: ${event.reason}`,
        );
      case "too-many":
        return this.#log.error(
          { node: event.name, members: event.members },
          `refused node ${event.name}: the limit of ${event.members} nodes is reached; if some of them are not yours, change cluster.keys`,
        );
      case "udp-broken":
        return this.#log.warn(
          { node: event.name, address },
          `node ${event.name} answers over TCP but not over UDP: is UDP blocked between the nodes?`,
        );
      case "peer-error":
        return this.#log.error(`another node refused this one: ${event.text}`);
      case "updated":
      case "forgotten":
      case "exchanged":
      case "may-close":
    }
  }

  #record(kind: EventKind, message: string, peer: string): void {
    this.#events.record({ kind, message, peer });
  }

  /** Something came that could not be opened, or held too much. @param from the other host */
  dropped(reason: string, from: string): void {
    const limit = LIMITS[reason];
    if (limit !== undefined) return this.#log.warn({ reason, from }, `${limit} (${from})`);
    const why = REASONS[reason] ?? "it is damaged or uses another protocol";
    this.#log.warn({ reason, from }, `cannot decode gossip from ${from}: ${why}`);
  }

  /** This node's own address. */
  address(change: AddressChange): void {
    this.#ownFaultUntilMs =
      change.kind === "lost" ? Number.POSITIVE_INFINITY : this.#clock.nowMs() + ADDRESS_CHANGE_MS;
    switch (change.kind) {
      case "moved":
        return this.#log.warn(
          { before: change.before, address: change.address },
          `this node's address changed from ${change.before} to ${change.address}: announcing it to the other nodes`,
        );
      case "lost":
        return this.#log.error({ address: change.address }, change.problem);
      case "back":
        return this.#log.info(
          { address: change.address },
          `${change.address} is an address of this machine again`,
        );
    }
  }

  silentSeeds(seeds: readonly string[]): void {
    const text = `this node is alone: no answer from ${seeds.join(", ")} (cluster.join); retrying: check the addresses and ports, and that both TCP and UDP are open in both directions`;
    this.#log.warn({ seeds }, text);
  }

  unresolved(host: string, error: string): void {
    this.#log.warn({ host, error }, `cannot resolve ${host} (cluster.join): ${error}; retrying`);
  }

  /** More than the catalog holds. @param service null: this node's own record */
  refused(service: string | null, reason: string): void {
    if (service === null) {
      this.#log.error(`cannot publish labels and addresses of this node to the cluster: ${reason}`);
      return;
    }
    this.#log.error(
      { service },
      `cannot publish service "${service}" to the cluster: ${reason}; only this node serves it`,
    );
  }

  /** A newer definition than that of this node's file is in force. */
  superseded(service: string, { node, file }: Definition): void {
    const by = file === null ? `a command on ${node}` : `the file of ${node} (${file})`;
    this.#log.warn(
      { service, by: node },
      `service "${service}": the definition from ${by} is in force: it differs from this node's file and is newer`,
    );
  }

  /** This node has seen one of two concurrent changes overwrite the other. */
  overwritten({ service, lost, by }: Overwritten): void {
    const made = (change: Change) => {
      const what = change.spec === null ? "removal" : "change";
      return `the ${what} made on ${change.stamp.node} at ${new Date(change.atMs).toISOString()}`;
    };
    if (!this.#budgetOf("overwritten").take()) return;
    this.#log.warn(
      { service, node: lost.stamp.node, by: by.stamp.node },
      `service "${service}": ${made(lost)} was overwritten by ${made(by)}, made at the same time: ` +
        "see `portmesh service inspect` and repeat the change if it is still wanted",
    );
  }

  /** Logged once per node. */
  unreadable({ kind, key, node }: UnreadableRecord): void {
    const what = key === "" ? kind : `${kind} ${JSON.stringify(key.replaceAll("\0", " "))}`;
    this.#log.warn(
      { node },
      `node ${node} writes records that this version cannot read, first ${what}: ` +
        "they are kept and passed on, and not used here; upgrade portmesh on this node",
    );
  }

  store(error: string | null): void {
    if (error === null) this.#log.info("the state file is writable again");
    else this.#log.error(`${error}: services and tasks created by command will not survive a restart`);
  }

  damaged(path: string, problem: string): void {
    this.#log.error({ path }, `${problem}; the old state file was moved to ${path}`);
  }

  #wasLogged(type: EventType, key: string): boolean {
    const nowMs = this.#clock.nowMs();
    const logged = this.#loggedAtMs.get(type) ?? new Map<string, number>();
    this.#loggedAtMs.set(type, logged);
    if (nowMs - (logged.get(key) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return true;
    if (logged.size >= MAX_LOGGED) logged.clear();
    logged.set(key, nowMs);
    return false;
  }

  #budgetOf(type: EventType): LineBudget {
    let budget = this.#budgets.get(type);
    if (budget === undefined) {
      const onSummary = (count: number) =>
        this.#log.warn({ event: type, count }, `${count} ${SUMMARIES[type]}: too many to log one by one`);
      budget = new LineBudget(this.#clock, onSummary);
      this.#budgets.set(type, budget);
    }
    return budget;
  }
}

/** Key of an event that is logged once a minute; null: each time. */
function rareKeyOf(event: MemberEvent): string | null {
  switch (event.type) {
    case "refuted":
      return event.by;
    case "other-cluster":
      return event.cluster;
    case "conflict":
    case "incompatible":
    case "udp-broken":
      return event.name;
    case "too-many":
    case "peer-error":
      return "";
    default:
      return null;
  }
}
