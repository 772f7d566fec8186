/** The words for what happens in the mesh: one method per kind of event, one line per event. */
import type { Definition } from "../../catalog/index.ts";
import type { Address, MemberEvent } from "../../membership/index.ts";
import type { Log } from "../log.ts";
import { hostOf } from "./address.ts";
import { addressKey } from "./seeds.ts";

/** What others do wrong again and again is told once in this time: nobody must be able to fill the log. */
const TELL_AGAIN_MS = 60_000;
const MAX_TOLD = 1_000;

const REASONS: Readonly<Record<string, string>> = {
  "cannot-decrypt": "it uses a key that this node does not have: compare cluster.keys of both",
  "not-encrypted": "it does not encrypt and this node does: compare cluster.keys of both",
  encrypted: "it encrypts and this node has no key: compare cluster.keys of both",
};

/** What a limit has done, and where. */
const LIMITS: Readonly<Record<string, string>> = {
  "too-many-connections": "closed the longest silent connection to the gossip port: 128 are open",
  "too-many-bytes":
    "closed a connection to the gossip port: unfinished messages of all connections hold 16 MiB",
  "too-slow": "closed a connection to the gossip port: it sends less than 16 KiB/s",
  "too-many-dials": "did not connect to a gossip port: 128 connections are open",
};

export class MeshLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #toldAtMs = new Map<string, number>(); // bounded by MAX_TOLD

  constructor(log: Log, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** @param address of the member, "" when it is not known any more */
  member(event: MemberEvent, address: string): void {
    switch (event.type) {
      case "joined":
        return this.#log.info({ node: event.name, address }, `node ${event.name} is alive`);
      case "cleared":
        return this.#log.info({ node: event.name, address }, `node ${event.name} is alive after all`);
      case "suspected":
        return this.#log.warn({ node: event.name, address }, `node ${event.name} does not answer`);
      case "failed":
        return this.#log.warn({ node: event.name, address }, `node ${event.name} has failed`);
      case "left":
        return this.#log.info({ node: event.name, address }, `node ${event.name} has left`);
      case "refuted":
        return this.#rarely(`refuted ${event.by}`, () =>
          this.#log.warn(
            { by: event.by },
            `node ${event.by} took this node for dead: it was too slow, or the network is`,
          ),
        );
      case "conflict": {
        const [known, other] = [textOf(event.known), textOf(event.other)];
        return this.#rarely(`conflict ${event.name}`, () =>
          this.#log.error(
            { node: event.name, address, other },
            `two nodes are named ${event.name}: ${known} and ${other}; set node.name of one of them`,
          ),
        );
      }
      case "other-cluster": {
        const other = textOf(event.address);
        return this.#rarely(`cluster ${event.cluster}`, () =>
          this.#log.error(
            { node: event.name, address: other, cluster: event.cluster },
            `node ${event.name} (${other}) belongs to cluster "${event.cluster}": refused; compare cluster.name of both`,
          ),
        );
      }
      case "incompatible":
        return this.#rarely(`incompatible ${event.name}`, () =>
          this.#log.error(
            { node: event.name },
            `node ${event.name} speaks another protocol: refused: ${event.reason}`,
          ),
        );
      case "udp-broken":
        return this.#rarely(`udp ${event.name}`, () =>
          this.#log.warn(
            { node: event.name, address },
            `node ${event.name} answers over TCP but not over UDP: is UDP blocked between the nodes?`,
          ),
        );
      case "peer-error":
        return this.#rarely("peer-error", () =>
          this.#log.error(`another node refuses this one: ${event.text}`),
        );
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

  unresolved(host: string, error: string): void {
    this.#log.warn({ host, error }, `cannot resolve ${host} of cluster.join: ${error}; it is tried again`);
  }

  /** What the file says is more than the catalog holds. */
  refused(reason: string): void {
    this.#log.error(
      `the cluster does not take over what the file declares, only this node serves it: ${reason}`,
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

  store(error: string | null): void {
    if (error === null) this.#log.info("what must survive a restart is written again");
    else this.#log.error(`${error}: services and tasks made by command will not survive a restart`);
  }

  damaged(path: string, problem: string): void {
    this.#log.error({ path }, `${problem}; what the last run has kept is now ${path}`);
  }

  #rarely(what: string, tell: () => void): void {
    const nowMs = this.#nowMs();
    if (nowMs - (this.#toldAtMs.get(what) ?? Number.NEGATIVE_INFINITY) < TELL_AGAIN_MS) return;
    if (this.#toldAtMs.size >= MAX_TOLD) this.#toldAtMs.clear();
    this.#toldAtMs.set(what, nowMs);
    tell();
  }
}

function textOf(address: Address): string {
  return addressKey({ host: hostOf(address), port: address.port });
}
