/** A published UDP port of a worker whose sockets are in memory, with tasks of this node and of its peers. */
import type { ClientLimits, UdpRules } from "../../../src/model/index.ts";
import {
  type CompiledTable,
  EMPTY_TABLE,
  listenersOf,
  type Route,
  TableCompiler,
} from "../../../src/proxy/table/route.ts";
import type { WorkerTask } from "../../../src/proxy/table/worker-messages.ts";
import { ClientKey, KeyLayout } from "../../../src/proxy/udp/client-key.ts";
import type { UdpSession } from "../../../src/proxy/udp/session.ts";
import { SessionSet } from "../../../src/proxy/udp/session-set.ts";
import { AF_INET } from "../../../src/sys/sockaddr.ts";
import { type Endpoint, parseIp } from "../../../src/wire/index.ts";
import type { MemoryUdp } from "./memory-udp.ts";
import { type TestTask, tableOf } from "./routing-table.ts";

export const IDLE_MS = 90_000;
const PORT = { protocol: "udp", published: 53, target: 5353, mode: "ingress" } as const;
const PEERS = ["exit", "other"].map((name, slot) => ({
  name,
  address: `127.0.0.${2 + slot}`,
  port: 4789,
  udpPort: 4789,
  slot,
  isSealed: false,
}));
const RELAY = {
  node: "entry",
  keys: ["5a".repeat(32)],
  tcpListeners: [],
  udpListeners: [],
  acceptsClear: "always" as const,
};
const LOCAL: Endpoint = { family: 4, bytes: parseIp("127.0.0.1")!.bytes, offset: 0, port: 53 };

export class MemoryListener {
  table: CompiledTable = EMPTY_TABLE;
  readonly sessions: SessionSet;

  constructor(
    readonly udp: MemoryUdp,
    tasks: readonly TestTask[],
    rules: Partial<UdpRules> = {},
    readonly perClient?: ClientLimits,
  ) {
    const text = new TextEncoder().encode("127.0.0.1");
    const listener = { fd: 3, layout: new KeyLayout(AF_INET, false), local: LOCAL, text };
    this.sessions = new SessionSet(udp.context, udp.relays, listener, this.#routeTo(tasks, rules));
  }

  /** The next table of the worker. */
  change(tasks: readonly TestTask[], rules: Partial<UdpRules> = {}): void {
    this.sessions.route = this.#routeTo(tasks, rules);
    this.sessions.onTargetsChanged(this.udp.loop.nowMs);
  }

  /** The session for a datagram of the client with this port at 203.0.113.9. */
  send(port: number): UdpSession | null {
    const { bytes } = parseIp("203.0.113.9")!;
    const key = new ClientKey();
    const view = new DataView(key.words.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port);
    for (const [index, byte] of bytes.entries()) view.setUint8(4 + index, byte);
    key.length = 2;
    return this.sessions.forDatagram(key, { family: 4, bytes, offset: 0, port });
  }

  #routeTo(tasks: readonly TestTask[], rules: Partial<UdpRules>): Route {
    const { listenAddresses, ...service } = tableOf({ protocol: "udp", published: 53, tasks }).services[0]!;
    const workerService = {
      ...service,
      slot: 0,
      drainTimeoutMs: 1_000,
      ...(this.perClient !== undefined && { perClient: this.perClient }),
      udp: { mode: "session", idleTimeoutMs: IDLE_MS, maxSessions: 1000, responses: 0, ...rules } as const,
      tasks: service.tasks.map((task, slot): WorkerTask => ({ ...task, slot })),
      ports: [{ ...PORT, listeners: [{ fd: 3, address: listenAddresses[0]! }] }],
    };
    const compiler = new TableCompiler(this.table, this.udp.counters, 0, this.udp.loop.nowMs);
    this.table = compiler.compile({ services: [workerService], peers: PEERS, relay: RELAY });
    return listenersOf(this.table)[0]!.route;
  }
}
