/**
 * A connection to the relay of another node, from connect to the answer. The other node is the test:
 *
 *   connecting, greeting ──▶ ready ──▶ asked ──▶ answered: handed over
 *              └───────────────┴─────────┴──▶ lost
 */
import { beforeEach, describe, expect, test } from "bun:test";
import {
  RelayConnection,
  type RelayConnectionOwner,
} from "../../../../../src/proxy/tcp/relay/relay-connection.ts";
import { ECONNREFUSED, ECONNRESET, EMFILE, EPROTO } from "../../../../../src/sys/errno.ts";
import {
  encodeRelayTask,
  GREETING_BYTES,
  RELAY_CHALLENGE_BYTES,
  RELAY_CONNECTED,
  writeGreeting,
} from "../../../../../src/wire/index.ts";
import { type MemorySocket, MemorySockets } from "../../../../support/proxy/memory-sockets.ts";
import { MemoryWorker } from "../../../../support/proxy/memory-worker.ts";

const RELAY = 4789;
const TASK = encodeRelayTask("test", "web", 80)!;
const CLIENTS = {
  source: { family: 4, bytes: Uint8Array.of(198, 51, 100, 7), offset: 0, port: 5555 },
  destination: { family: 4, bytes: Uint8Array.of(203, 0, 113, 1), offset: 0, port: 443 },
} as const;

class Owner implements RelayConnectionOwner {
  readonly events: (string | number)[] = [];

  onReady(): void {
    this.events.push("ready");
  }

  onAnswer(_relay: RelayConnection, answer: number): void {
    this.events.push(answer);
  }

  onLost(_relay: RelayConnection, errnoValue: number): void {
    this.events.push("lost", errnoValue);
  }

  onConnectionDeadline(): void {
    this.events.push("deadline");
  }
}

let sockets: MemorySockets;
let worker: MemoryWorker;
let owner: Owner;
let relay: RelayConnection;

function start(peer: { isSealed?: boolean; source?: string } = {}): void {
  sockets = new MemorySockets();
  const exit = {
    name: "exit",
    address: "192.0.2.2",
    port: RELAY,
    udpPort: RELAY,
    slot: 0,
    isSealed: false,
    ...peer,
  };
  const task = { name: "web", node: "exit", distance: "far", address: "web.internal", port: 80 } as const;
  worker = new MemoryWorker({ sockets, service: { tasks: [task] }, peers: [exit] });
  worker.clients.relayPools.close();
  sockets.port(RELAY).accepted.length = 0;
  owner = new Owner();
  relay = new RelayConnection(worker.context, worker.targets[0]!.peer!, owner);
}

/** The other node's end. */
function far(): MemorySocket {
  return sockets.port(RELAY).last;
}

/** A greeting with a valid or an invalid public key. */
function greeting(publicKey = worker.context.ownKeys.current(0).publicKey): Buffer {
  const bytes = new Uint8Array(GREETING_BYTES);
  writeGreeting(new Uint8Array(RELAY_CHALLENGE_BYTES).fill(7), publicKey, bytes, 0);
  return Buffer.from(bytes);
}

function openReady(): void {
  expect(relay.open()).toBe(0);
  far().write(greeting());
  sockets.run();
  expect([owner.events.shift(), relay.isReady]).toEqual(["ready", true]);
}

beforeEach(() => start());

test("is ready with its greeting, also in pieces", () => {
  expect(relay.open()).toBe(0);
  for (const byte of greeting()) {
    expect(owner.events).toEqual([]);
    far().write(Buffer.of(byte));
    sockets.run();
  }
  expect(owner.events).toEqual(["ready"]);
});

test("is lost when another program answers", () => {
  relay.open();
  far().write("220 smtp.example.com ESMTP\r\n".padEnd(GREETING_BYTES));
  sockets.run();
  expect([owner.events, relay.isOpen, far().other!.isClosed]).toEqual([["lost", EPROTO], false, true]);
});

describe("is lost with the error", () => {
  test("of a reset before the greeting", () => {
    relay.open();
    far().reset();
    sockets.run();
    expect(owner.events).toEqual(["lost", ECONNRESET]);
  });

  test("ECONNRESET, when it ends before the greeting or the request", () => {
    relay.open();
    far().end();
    sockets.run();
    expect(owner.events).toEqual(["lost", ECONNRESET]);
    start();
    openReady();
    far().end();
    sockets.run();
    expect(owner.events).toEqual(["lost", ECONNRESET]);
  });

  test("of a connect that fails later", () => {
    sockets.port(RELAY).mode = "silent";
    expect(relay.open()).toBe(0);
    sockets.port(RELAY).refusePending();
    sockets.run();
    expect(owner.events).toEqual(["lost", ECONNREFUSED]);
  });

  test("of a reset before the answer", () => {
    openReady();
    relay.ask(CLIENTS, TASK);
    far().reset();
    sockets.run();
    expect(owner.events).toEqual(["lost", ECONNRESET]);
  });
});

test("a connect that fails at once, and one without a descriptor, leave nothing open", () => {
  sockets.port(RELAY).mode = "refuse";
  expect([relay.open(), relay.isOpen, owner.events]).toEqual([-ECONNREFUSED, false, []]);
  start();
  sockets.descriptorsLeft = 0;
  expect([relay.open(), owner.events]).toEqual([-EMFILE, []]);
  start();
  sockets.watchesLeft = 0;
  expect([relay.open(), far().state]).toEqual([-EMFILE, "ended"]);
});

test("anything that arrives before the request ends it", () => {
  openReady();
  far().write("x");
  sockets.run();
  expect([owner.events, relay.isOpen]).toEqual([["lost", ECONNRESET], false]);
});

test("the answer is one byte; those behind it are the task's", () => {
  openReady();
  expect(relay.ask(CLIENTS, TASK)).toBe(true);
  far().write(Buffer.of(RELAY_CONNECTED, 0x41, 0x42));
  sockets.turn();
  expect([owner.events, far().other!.incoming.toString()]).toEqual([[RELAY_CONNECTED], "AB"]);
});

test("closing withdraws a request with RST, and ends an idle connection with FIN", () => {
  openReady();
  relay.close();
  expect(far().state).toBe("ended");
  start();
  openReady();
  relay.ask(CLIENTS, TASK);
  relay.close();
  relay.close();
  expect([far().state, owner.events]).toEqual(["reset", []]);
});

test("it retransmits at an even pace until it is handed over", () => {
  openReady();
  const near = far().other!;
  relay.ask(CLIENTS, TASK);
  relay.release();
  expect([near.options, relay.isOpen, near.isClosed]).toEqual([
    ["oobinline", "thin", "not thin"],
    false,
    false,
  ]);
});

test("it leaves from the peer's source address, if that has one", () => {
  start({ source: "192.0.2.1" });
  relay.open();
  expect(far().other!.options).toContain("source");
});

test("sealed: no request to a node whose greeting has an invalid key", () => {
  start({ isSealed: true });
  relay.open();
  far().write(greeting(new Uint8Array(32))); // of small order [RFC 7748 §6.1]
  sockets.run();
  expect([owner.events, relay.ask(CLIENTS, TASK)]).toEqual([["ready"], false]);
  expect(far().incoming.length).toBe(0);
});
