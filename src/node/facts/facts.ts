/**
 * What this node knows, as plain values. The part that learns something records it here (Reconciler.learn) and does no
 * more: what follows from it is derived from all facts together (derive.ts) and applied by the next pass (reconcile.ts).
 */
import type { Catalog, FileAge, NodeRecord, TaskRecord } from "../../catalog/index.ts";
import type { Config, GossipAddress } from "../../config/index.ts";
import type { LocalNetwork } from "../../sys/local-addresses.ts";
import type { Reach } from "../reach-report.ts";
import type { OverlayFacts } from "./overlay-facts.ts";
import { sourceAddress } from "./source-address.ts";

/** `serving`: its listeners are open, and it is not about to stop. Others send clients to its tasks only then. */
export type Phase = "starting" | "serving" | "leaving";

/** What is read of the catalog. */
export type CatalogReader = Pick<
  Catalog,
  | "self"
  | "revision"
  | "services"
  | "servicesWith"
  | "ownDeclarations"
  | "tasks"
  | "tasksOf"
  | "nodes"
  | "directiveOf"
  | "conflicts"
>;

export interface Facts {
  /** Name of this node. */
  readonly self: string;
  readonly version: string;
  readonly phase: Phase;
  readonly file: FileFacts;
  readonly catalog: CatalogReader;
  /** Of the catalog, as last noticed. */
  readonly catalogRevision: number;
  /** How often this node has written records of its own or of its operator. */
  readonly writes: number;
  readonly members: MemberFacts;
  /** null: no cluster. */
  readonly address: AddressFacts | null;
  /** Addresses of this machine. */
  readonly network: LocalNetwork;
  /** null: no cluster. */
  readonly overlay: OverlayFacts | null;
  /** Listeners that this node cannot open. */
  readonly bindErrors: NodeRecord["bindErrors"];
  /** Ports without a reachable task, and tasks of this node that are down. */
  readonly reach: Reach;
  /** How often names of tasks, or ports that are due to be closed or opened, have changed. */
  readonly localChanges: number;
  /** How often it was time to try ports again that could not be bound. */
  readonly portRetries: number;
  /** Addresses of this node's tasks given by name, as far as others have to know them. */
  readonly taskAddresses: NonNullable<NodeRecord["taskAddresses"]>;
  /** By shareKey: tasks that became healthy lately and do not get their whole share yet. */
  readonly shares: ReadonlyMap<string, number>;
}

export interface FileFacts {
  readonly path: string;
  /** As applied last. */
  readonly config: Config;
  /** The catalog's declarations of this node are those of its file, from this run or an earlier one. */
  readonly isKnown: boolean;
  readonly age: FileAge;
  /** Services declared before the catalogs of others were heard. */
  readonly pending: ReadonlySet<string>;
  /** Tasks of the file as applied last. */
  readonly tasks: readonly TaskRecord[];
}

export interface MemberFacts {
  /** Names of nodes that are alive or under suspicion, without this one: the catalog shows the records of these. */
  readonly live: readonly string[];
  /** Last addresses of members, by name: kept to find them after a restart. */
  readonly known: Readonly<Record<string, GossipAddress>>;
}

export interface AddressFacts {
  /** Literal address that other nodes reach this one by. */
  readonly announced: string;
  /** This machine has it: not so behind NAT. */
  readonly isLocal: boolean;
  /** Why other nodes cannot reach this one; null: they can. */
  readonly problem: string | null;
}

export interface FactsAtStart extends Pick<Facts, "version" | "catalog" | "network"> {
  readonly config: Config;
  /** Path of its file. */
  readonly path: string;
  /** null: no cluster. */
  readonly announced: string | null;
}

/** Nothing is known of others yet. */
export function factsAtStart({ config, path, version, catalog, network, announced }: FactsAtStart): Facts {
  return {
    self: config.node.name,
    version,
    phase: "starting",
    file: { path, config, isKnown: false, age: "unsynced", pending: new Set(), tasks: [] },
    catalog,
    catalogRevision: catalog.revision,
    writes: 0,
    members: { live: [], known: {} },
    address:
      announced === null ? null : { announced, isLocal: hasAddress(network, announced), problem: null },
    network,
    overlay: null,
    bindErrors: [],
    reach: { closed: [], down: [] },
    localChanges: 0,
    portRetries: 0,
    taskAddresses: [],
    shares: new Map(),
  };
}

/** Where gossip leaves from, and relays that do not go over the overlay; null: any address. */
export function sourceOf({ address, file: { config } }: Pick<Facts, "address" | "file">): string | null {
  if (config.cluster === null || address === null) return null;
  return sourceAddress(address.announced, config.cluster.bind.host, address.isLocal);
}

export function hasAddress({ addresses }: LocalNetwork, wanted: string | null): boolean {
  return addresses.some(({ address }) => address === wanted);
}
