/**
 * A relay connection from another node until its request says what it is for:
 *
 *   greeted ──request───▶ a client's connection
 *      │    ──request───▶ heartbeat
 *      └──malformed, forged, replayed, clear, silent──▶ reset and counted
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { identityOf, NO_IDENTITY } from "../../../../../src/proxy/relay/identity.ts";
import { RELAY_ERRORS } from "../../../../../src/proxy/table/counters.ts";
import {
  RelayConnection,
  type RelayConnectionOwner,
} from "../../../../../src/proxy/tcp/relay/relay-connection.ts";
import {
  encodeRelayTask,
  GREETING_BYTES,
  RELAY_CONNECTED,
  RELAY_NO_SUCH_TASK,
} from "../../../../../src/wire/index.ts";
import { type MemorySocket, MemorySockets } from "../../../../support/proxy/memory-sockets.ts";
import { MemoryWorker } from "../../../../support/proxy/memory-worker.ts";

const RELAY = 4789;
const TASK = 80;
const KEY = "5a".repeat(32);
const OTHER_KEY = "5b".repeat(32);
const CLIENT = { family: 4, bytes: Uint8Array.of(198, 51, 100, 7), offset: 0, port: 5555 } as const;
const PUBLISHED = { family: 4, bytes: Uint8Array.of(203, 0, 113, 1), offset: 0, port: 443 } as const;

/** Of a relay connection at the entry node. */
class Owner implements RelayConnectionOwner {
  isReady = false;
  readonly answers: number[] = [];
  readonly lost: number[] = [];
  deadlines = 0;

  onReady(): void {
    this.isReady = true;
  }

  onAnswer(_relay: RelayConnection, answer: number): void {
    this.answers.push(answer);
  }

  onLost(_relay: RelayConnection, errnoValue: number): void {
    this.lost.push(errnoValue);
  }

  onConnectionDeadline(): void {
    this.deadlines++;
  }
}

describe.each([
  ["sealed", true],
  ["clear", false],
] as const)("%s", (_how, isSealed) => {
  const peer = { name: "exit", address: "192.0.2.2", port: RELAY, udpPort: RELAY, slot: 0, isSealed };
  const far = { name: "web", node: "exit", distance: "far", address: "web.internal", port: TASK } as const;
  const question = encodeRelayTask("test", "web", TASK)!;
  let sockets: MemorySockets;
  let exit: MemoryWorker;
  let entry: MemoryWorker;
  let owner: Owner;

  function start(keys: readonly string[] = [KEY]): void {
    sockets = new MemorySockets();
    exit = new MemoryWorker({
      sockets,
      service: { tasks: [{ name: "web", port: TASK }] },
      relay: { node: "exit", keys, acceptsClear: isSealed ? [] : "always" },
    });
    exit.serveRelay(RELAY);
    entry = new MemoryWorker({
      sockets,
      service: { tasks: [far] },
      peers: [peer],
      relay: { node: "entry", keys: [KEY], acceptsClear: [] },
    });
    entry.clients.relayPools.close(); // only what the test opens
    sockets.run();
    owner = new Owner();
  }

  beforeEach(() => start());

  function open(): RelayConnection {
    const relay = new RelayConnection(entry.context, entry.targets[0]!.peer!, owner);
    expect(relay.open()).toBe(0);
    sockets.run();
    return relay;
  }

  function ask(relay: RelayConnection, task: Uint8Array | null = question): boolean {
    const clients = task === null ? null : { source: CLIENT, destination: PUBLISHED };
    const sent = relay.ask(clients, task);
    sockets.run();
    return sent;
  }

  /** The exit node's end of the last one. */
  function atExit(): MemorySocket {
    return sockets.port(RELAY).last;
  }

  function refusals(): string[] {
    const counts = exit.counters.relayRefusals[0]!;
    return RELAY_ERRORS.filter((_reason, index) => counts[index]! > 0);
  }

  test("is greeted, and waits for its request", () => {
    const relay = open();
    expect([owner.isReady, relay.isReady, exit.inbound.length]).toEqual([true, true, 1]);
    expect(atExit().other!.arrived.reduce((sum, { length }) => sum + length, 0)).toBe(GREETING_BYTES);
  });

  test("becomes a client's connection to the task that it asks for", () => {
    const relay = open();
    expect(ask(relay)).toBe(true);
    expect([owner.answers, exit.inbound.length, exit.inUse.relayed]).toEqual([[RELAY_CONNECTED], 0, 1]);
  });

  test("a request in pieces is put together", () => {
    const relay = open();
    const socket = atExit().other!;
    atExit().windowBytes = 10;
    expect(relay.ask({ source: CLIENT, destination: PUBLISHED }, question)).toBe(true);
    for (let i = 0; i < 100 && owner.answers.length === 0; i++) sockets.run();
    expect([owner.answers, socket.queue.length]).toEqual([[RELAY_CONNECTED], 0]);
  });

  test("an incomplete request is refused as stale", () => {
    const relay = open();
    atExit().windowBytes = 10;
    relay.ask({ source: CLIENT, destination: PUBLISHED }, question);
    atExit().other!.queue = Buffer.alloc(0);
    sockets.run();
    sockets.advance(3_000);
    expect([refusals(), owner.lost.length, exit.inbound.length]).toEqual([["stale"], 1, 0]);
  });

  test("one without a request is closed after a minute and not counted as refused", () => {
    open();
    sockets.advance(61_000);
    expect([refusals(), owner.lost.length, exit.inbound.length]).toEqual([[], 1, 0]);
  });

  test("an unknown task is answered", () => {
    ask(open(), encodeRelayTask("test", "other", TASK)!);
    expect([owner.answers, refusals()]).toEqual([[RELAY_NO_SUCH_TASK], ["no-such-task"]]);
  });

  test("a request under another key is not answered", () => {
    start([OTHER_KEY]);
    ask(open());
    expect([owner.answers, owner.lost.length, refusals()]).toEqual([[], 1, ["unauthentic"]]);
  });

  test("any of the keys of the exit node will do", () => {
    start([OTHER_KEY, KEY]);
    ask(open());
    expect(owner.answers).toEqual([RELAY_CONNECTED]);
  });

  test("a request recorded on another connection is refused", () => {
    ask(open());
    const recorded = Buffer.concat(atExit().arrived);
    const relay = open();
    atExit().other!.write(recorded);
    sockets.run();
    expect([relay.isOpen, refusals()]).toEqual([false, [isSealed ? "unauthentic" : "replayed"]]);
  });

  test.each(["GET / HTTP/1.1\r\n\r\n", "\0".repeat(2_000), "\xff"])("garbage is refused: %j", (text) => {
    open();
    atExit().other!.write(text);
    sockets.run();
    sockets.advance(3_000);
    expect([exit.inbound.length, refusals().length]).toEqual([0, 1]);
  });

  test("a request can be withdrawn with a reset", () => {
    sockets.port(TASK).mode = "silent";
    const relay = open();
    ask(relay);
    relay.close();
    sockets.run();
    expect([exit.inUse.relayed, exit.reasons()]).toEqual([0, ["client-gone"]]);
  });

  test("a reset while it waits for its request ends it", () => {
    const relay = open();
    atExit().reset();
    sockets.run();
    expect([owner.lost.length, relay.isOpen]).toEqual([1, false]);
  });

  test("heartbeats are echoed, each byte", () => {
    const relay = open();
    ask(relay, null);
    expect(owner.answers).toEqual([RELAY_CONNECTED]);
    for (const beat of [7, 8, 9]) {
      expect(relay.sendByte(beat)).toBe(0);
      sockets.run();
    }
    expect([owner.answers.slice(1), exit.inbound.length]).toEqual([[7, 8, 9], 1]);
  });

  test("a heartbeat that stops is closed", () => {
    const relay = open();
    ask(relay, null);
    sockets.advance(50_000);
    relay.sendByte(7);
    sockets.advance(59_000);
    expect(relay.isOpen).toBe(true);
    sockets.advance(2_000);
    expect([relay.isOpen, exit.inbound.length]).toEqual([false, 0]);
  });

  if (isSealed) {
    test("a clear request to a node that requires sealing is refused", () => {
      const clear = new MemoryWorker({
        sockets,
        service: { tasks: [far] },
        peers: [{ ...peer, isSealed: false }],
        relay: { node: "entry", keys: [KEY], acceptsClear: [] },
      });
      const relay = new RelayConnection(clear.context, clear.targets[0]!.peer!, owner);
      relay.open();
      sockets.run();
      ask(relay);
      expect([owner.answers, refusals()]).toEqual([[], ["clear"]]);
    });
  }

  test("a request under a key that has been replaced is refused", () => {
    const relay = open();
    exit.context.relay.change(
      identityOf({ node: "exit", keys: [OTHER_KEY], acceptsClear: "always" }, NO_IDENTITY),
    );
    ask(relay);
    expect(owner.answers).toEqual([]);
  });
});
