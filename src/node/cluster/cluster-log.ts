/** The words for what happens in the mesh: one method per kind of event, one line per event. */
import type { Change, Definition, Overwritten, UnreadableRecord } from "../../catalog/index.ts";
import type { Address, MemberEvent } from "../../membership/index.ts";
import type { Clock } from "../../sys/clock.ts";
import { LineBudget } from "../line-budget.ts";
import type { Log } from "../log.ts";
import { hostOf } from "./address.ts";
import type { AddressChange } from "./address-watch.ts";
import { addressKey } from "./seeds.ts";

/** What others do wrong again and again is told once in this time: nobody must be able to fill the log. */
const TELL_AGAIN_MS = 60_000;
const MAX_TOLD = 1_000;
/** After this node's address has changed: answers to the old one are lost, which says nothing about the network. */
const ADDRESS_CHANGE_MS = 10_000;

const REASONS: Readonly<Record<string, string>> = {
  "cannot-decrypt": "it uses a key that this node does not have: compare cluster.keys of both",
  "not-encrypted": "it does not encrypt and this node does: compare cluster.keys of both",
  encrypted: "it encrypts and this node has no key: compare cluster.keys of both",
};

/** What a limit has done, and where. */
const LIMITS: Readonly<Record<string, string>> = {
  "too-many-connections":
    "closed the longest silent connection to the gossip port: as many as allowed are open",
  "too-many-bytes":
    "closed a connection to the gossip port: unfinished messages of all connections hold 16 MiB",
  "too-slow": "closed a connection to the gossip port: it sends less than 16 KiB/s",
  "too-many-dials": "did not connect to a gossip port: as many connections as allowed are open",
};

type EventType = MemberEvent["type"] | "overwritten";

/** Behind a number of events that were not told one by one. */
const SUMMARIES: Readonly<Partial<Record<EventType, string>>> = {
  joined: "more nodes are alive",
  cleared: "more nodes are alive after all",
  suspected: "more nodes do not answer",
  failed: "more nodes have failed",
  left: "more nodes have left",
  moved: "more nodes have another address",
  refuted: "more times other nodes took this node for dead",
  conflict: "more names belong to two nodes",
  "other-cluster": "more nodes of other clusters were refused",
  incompatible: "more nodes that speak another protocol were refused",
  "udp-broken": "more nodes answer over TCP but not over UDP",
  overwritten: "more changes of services were overwritten: see `portmesh service inspect`",
};

export class ClusterLog {
  readonly #log: Log;
  readonly #clock: Clock;
  /** By type and what it is about; bounded by the types and MAX_TOLD. */
  readonly #toldAtMs = new Map<EventType, Map<string, number>>();
  readonly #budgets = new Map<EventType, LineBudget>(); // bounded by the types

  /** What goes wrong with UDP until then is because of this node's address. */
  #ownFaultUntilMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param address of the member, "" when it is not known any more */
  member(event: MemberEvent, address: string): void {
    if (event.type === "udp-broken" && this.#clock.nowMs() < this.#ownFaultUntilMs) return;
    const key = rareKeyOf(event);
    if (key !== null && this.#isToldAlready(event.type, key)) return;
    if (SUMMARIES[event.type] !== undefined && !this.#budgetOf(event.type).take()) return;
    this.#tell(event, address);
  }

  #tell(event: MemberEvent, address: string): void {
    switch (event.type) {
      case "joined":
        return this.#log.info({ node: event.name, address }, `node ${event.name} is alive`);
      case "cleared":
        return this.#log.info({ node: event.name, address }, `node ${event.name} is alive after all`);
      case "suspected":
        return this.#log.warn({ node: event.name, address }, `node ${event.name} does not answer`);
      case "failed":
        return this.#log.warn({ node: event.name, address }, `node ${event.name} has failed`);
      case "moved":
        return this.#log.info({ node: event.name, address }, `node ${event.name} is at ${address} now`);
      case "left":
        return this.#log.info({ node: event.name, address }, `node ${event.name} has left`);
      case "refuted":
        return this.#log.warn(
          { by: event.by },
          `node ${event.by} took this node for dead: it was too slow, or the network is`,
        );
      case "conflict": {
        const [known, other] = [textOf(event.known), textOf(event.other)];
        return this.#log.error(
          { node: event.name, address, other },
          `two nodes are named ${event.name}: ${known} and ${other}; set node.name of one of them`,
        );
      }
      case "other-cluster": {
        const other = textOf(event.address);
        return this.#log.error(
          { node: event.name, address: other, cluster: event.cluster },
          `node ${event.name} (${other}) belongs to cluster "${event.cluster}": refused; compare cluster.name of both`,
        );
      }
      case "incompatible":
        return this.#log.error(
          { node: event.name },
          `node ${event.name} speaks another protocol: refused: ${event.reason}`,
        );
      case "too-many":
        return this.#log.error(
          { node: event.name, members: event.members },
          `node ${event.name} is refused: ${event.members} nodes are known, which is the limit; if they are not all yours, change cluster.keys`,
        );
      case "udp-broken":
        return this.#log.warn(
          { node: event.name, address },
          `node ${event.name} answers over TCP but not over UDP: is UDP blocked between the nodes?`,
        );
      case "peer-error":
        return this.#log.error(`another node refuses this one: ${event.text}`);
      case "updated":
      case "forgotten":
      case "exchanged":
      case "may-close":
    }
  }

  /** Something came that could not be opened, or held too much. @param from the other host */
  dropped(reason: string, from: string): void {
    const limit = LIMITS[reason];
    if (limit !== undefined) return this.#log.warn({ reason, from }, `${limit} (${from})`);
    const why = REASONS[reason] ?? "it is damaged, or another protocol";
    this.#log.warn({ reason, from }, `cannot understand what ${from} sends: ${why}`);
  }

  /** This node's own address. */
  address(change: AddressChange): void {
    this.#ownFaultUntilMs =
      change.kind === "lost" ? Number.POSITIVE_INFINITY : this.#clock.nowMs() + ADDRESS_CHANGE_MS;
    switch (change.kind) {
      case "moved":
        return this.#log.warn(
          { before: change.before, address: change.address },
          `this node's address is ${change.address} now, it was ${change.before}: other nodes are told`,
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

  unresolved(host: string, error: string): void {
    this.#log.warn({ host, error }, `cannot resolve ${host} of cluster.join: ${error}; it is tried again`);
  }

  /** More than the catalog holds. @param service null: this node's own record */
  refused(service: string | null, reason: string): void {
    if (service === null) {
      this.#log.error(`cannot publish labels and addresses of this node to the cluster: ${reason}`);
      return;
    }
    this.#log.error(
      { service },
      `cannot publish service "${service}" to the cluster, only this node serves it: ${reason}`,
    );
  }

  /** A service of this node's file is defined otherwise, and later: that definition is in force. */
  overruled(service: string, { node, file }: Definition): void {
    const by = file === null ? `a command on ${node}` : `the file of ${node} (${file})`;
    this.#log.warn(
      { service, by: node },
      `service "${service}": ${by} defines it otherwise than this node's file and is newer: it is in force`,
    );
  }

  /** Of two changes made beside each other this node has seen one lose. */
  overwritten({ service, lost, by }: Overwritten): void {
    const made = (change: Change) => {
      const what = change.spec === null ? "removal" : "change";
      return `the ${what} made on ${change.stamp.node} at ${new Date(change.atMs).toISOString()}`;
    };
    if (!this.#budgetOf("overwritten").take()) return;
    this.#log.warn(
      { service, node: lost.stamp.node, by: by.stamp.node },
      `service "${service}": ${made(lost)} was overwritten by ${made(by)}, which did not know it: ` +
        "see `portmesh service inspect`, and make it again where it is wanted",
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
    if (error === null) this.#log.info("the state file can be written again");
    else this.#log.error(`${error}: services and tasks made by command will not survive a restart`);
  }

  damaged(path: string, problem: string): void {
    this.#log.error({ path }, `${problem}; what the last run has kept is now ${path}`);
  }

  #isToldAlready(type: EventType, key: string): boolean {
    const nowMs = this.#clock.nowMs();
    const told = this.#toldAtMs.get(type) ?? new Map<string, number>();
    this.#toldAtMs.set(type, told);
    if (nowMs - (told.get(key) ?? Number.NEGATIVE_INFINITY) < TELL_AGAIN_MS) return true;
    if (told.size >= MAX_TOLD) told.clear();
    told.set(key, nowMs);
    return false;
  }

  #budgetOf(type: EventType): LineBudget {
    let budget = this.#budgets.get(type);
    if (budget === undefined) {
      const onSummary = (count: number) =>
        this.#log.warn({ event: type, count }, `${count} ${SUMMARIES[type]}: too many to be told one by one`);
      budget = new LineBudget(this.#clock, onSummary);
      this.#budgets.set(type, budget);
    }
    return budget;
  }
}

/** What is told about each of these once a minute; null: each time. */
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

function textOf(address: Address): string {
  return addressKey({ host: hostOf(address), port: address.port });
}
