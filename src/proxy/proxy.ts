/**
 * The main thread's side of the proxy: opens listening sockets, hands workers their tables, sums their counters.
 */
import type { RoutingTable } from "./routing-table.ts";
import type { ConnectionRecord, ProxyStatus } from "./status.ts";

export interface ProxyOptions {
  /** 0 = one per core. */
  readonly workers: number;
  /** Called in batches while connection records are switched on. */
  readonly onConnectionsClosed: (records: readonly ConnectionRecord[]) => void;
  /** A listener that could not be opened, or has been opened after all (error null). */
  readonly onListener: (listener: { service: string; protocol: string; address: string; port: number; error: string | null }) => void;
}

/** The difference between the running table and another: for `reload` and `reload --dry-run`. */
export interface TableChanges {
  /** "tcp 0.0.0.0:8080" */
  readonly listenersOpened: readonly string[];
  readonly listenersClosed: readonly string[];
}

/** Sockets are open and bound, nothing is visible to clients yet. Commit or abandon it. */
export interface PreparedTable {
  readonly changes: TableChanges;
  /** Ports that cannot be bound now; they do not stop a commit and are retried every second. */
  readonly bindErrors: readonly { service: string; protocol: string; address: string; port: number; error: string }[];
}

export declare class Proxy {
  static start(options: ProxyOptions): Promise<Proxy>;
  /** What a commit of `table` would change; opens nothing. */
  compare(table: RoutingTable): TableChanges;
  prepare(table: RoutingTable): PreparedTable;
  abandon(prepared: PreparedTable): void;
  /** Resolves when every worker runs the new table. */
  commit(prepared: PreparedTable): Promise<void>;
  status(): ProxyStatus;
  /** Turns connection records on or off (they cost a message per batch). */
  recordConnections(isOn: boolean): void;
  /** Closes all listeners; resolves true when the last connection has ended, false at the deadline. */
  drain(timeoutMs: number): Promise<boolean>;
  /** Ends the workers and every connection. */
  stop(): Promise<void>;
}
