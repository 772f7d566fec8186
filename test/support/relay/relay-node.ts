/** Nodes that relay to each other, each with its own workers, in the process of the test. */
import type { Peer, Relay, RoutingTable, ServiceStatus } from "../../../src/proxy/index.ts";
import { SpliceProxy } from "../../../src/proxy/index.ts";
import { freeQuietPort } from "../os/free-port.ts";
import { type TestService, tableOf } from "../proxy/routing-table.ts";

export const RELAY_KEY = "5a".repeat(32);

export interface RelayNodeOptions {
  readonly address?: string;
  /** One that is free by default. */
  readonly port?: number;
  readonly keys?: readonly string[];
  readonly workers?: number;
  /** What goes to and comes from others has to be sealed; false by default. */
  readonly isSealed?: boolean;
}

export class RelayNode {
  private constructor(
    readonly name: string,
    readonly proxy: SpliceProxy,
    public relay: Relay,
  ) {}

  static async start(name: string, options: RelayNodeOptions = {}): Promise<RelayNode> {
    const { address = "127.0.0.1", keys = [RELAY_KEY], workers = 1, isSealed = false } = options;
    const proxy = await SpliceProxy.start({ workers, onListeners: () => {} });
    const port = options.port ?? (await freeQuietPort(address));
    const acceptsClear = isSealed ? [] : ("always" as const);
    return new RelayNode(name, proxy, {
      node: name,
      listenAddresses: [address],
      port,
      udpPort: port,
      keys,
      acceptsClear,
    });
  }

  /** How others reach it. */
  get peer(): Peer {
    const { listenAddresses, port, udpPort, acceptsClear } = this.relay;
    return {
      name: this.name,
      address: listenAddresses[0]!,
      port,
      udpPort,
      isSealed: acceptsClear !== "always",
    };
  }

  /** Runs these services from now on. */
  async apply(peers: readonly Peer[], ...services: readonly TestService[]): Promise<void> {
    const table: RoutingTable = { ...tableOf(...services), peers, relay: this.relay };
    const prepared = this.proxy.prepare(table);
    const [failed] = prepared.bindErrors;
    if (failed !== undefined) {
      this.proxy.abandon(prepared);
      throw new Error(failed.error);
    }
    await this.proxy.commit(prepared);
  }

  get status(): ServiceStatus {
    return this.proxy.status().services[0]!;
  }

  refused(reason: string): number {
    return this.status.refusedTotal[reason] ?? 0;
  }

  /** Datagrams between nodes that came to nothing. */
  dropped(reason: string): number {
    return this.proxy.status().relay.datagramsDroppedTotal[reason] ?? 0;
  }

  stop(): Promise<void> {
    return this.proxy.stop();
  }
}

/** How what goes between nodes goes: suites of relays are run in both ways. */
export const MODES = [
  ["in clear", false],
  ["sealed", true],
] as const;
