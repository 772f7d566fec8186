/**
 * Somebody between two nodes whose relays are sealed: whatever he does, a connection ends with an error at both its ends,
 * and never as if all had been said.
 *
 *   client ──▶ entry node 127.0.0.1 ──▶ tamperer 127.0.0.4 ──▶ exit node 127.0.0.2 ──▶ its task
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { GREETING_BYTES, RECORD_END, RECORD_OVERHEAD_BYTES } from "../../src/wire/index.ts";
import { Pattern } from "../support/load/pattern.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import type { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { RelayGuest } from "../support/relay/fake-relay.ts";
import { allClosed, type Ends, here, on, RelayMesh } from "../support/relay/relay-mesh.ts";
import { RELAY_KEY, type RelayNode } from "../support/relay/relay-node.ts";
import { type Frame, RelayTamperer, type TamperedLine, type Way } from "../support/relay/relay-tamperer.ts";
import { waitFor } from "../support/time/wait-for.ts";

const NEW_KEY = "77".repeat(32);
const MESSAGE_BYTES = 700;
const RECORD_BYTES = MESSAGE_BYTES + RECORD_OVERHEAD_BYTES;
const WAYS: readonly Way[] = ["to exit", "to entry"];

let mesh: RelayMesh;
let entry: RelayNode;
let exit: RelayNode;
let task: RawListener;
let between: RelayTamperer;

beforeEach(async () => {
  mesh = await RelayMesh.start();
  entry = await mesh.node("entry", { isSealed: true });
  exit = await mesh.node("exit", { address: "127.0.0.2", isSealed: true });
  task = mesh.task();
  between = mesh.keep(new RelayTamperer(exit, "127.0.0.4"), (tamperer) => tamperer.stop());
  await mesh.serve(exit, [here(task)]);
  await mesh.route(entry, [between], [on("exit", task)]);
});
afterEach(() => mesh.stop());

function isMessage({ bytes }: Frame): boolean {
  return bytes.length === RECORD_BYTES;
}

function isEnd({ bytes, index }: Frame): boolean {
  return index > 0 && bytes[0] === RECORD_END;
}

function from(way: Way, { client, task: served }: Ends): { sender: RawSocket; reader: RawSocket } {
  return way === "to exit" ? { sender: client, reader: served } : { sender: served, reader: client };
}

/** One message through, which proves that all is well. */
async function exchange(way: Way, ends: Ends, stream: number): Promise<Pattern> {
  const { sender, reader } = from(way, ends);
  const pattern = new Pattern(stream);
  await pattern.send(sender, MESSAGE_BYTES);
  await pattern.receive(reader, MESSAGE_BYTES);
  return pattern;
}

/** The reader gets what came before and no byte else, and both get a reset; the sender may have been told already. */
async function endings(
  way: Way,
  ends: Ends,
  pattern: Pattern,
  { bytes = MESSAGE_BYTES, told = null as string | null } = {},
): Promise<void> {
  const { sender, reader } = from(way, ends);
  expect(await pattern.receiveToEnd(reader)).toEqual({ bytes, how: "ECONNRESET" });
  expect(told ?? (await sender.receiveRest().catch((error) => error.code))).toBe("ECONNRESET");
  await allClosed(entry, exit);
}

function forged(): number {
  const of = (node: RelayNode) => node.proxy.status().relay.connectionsRefusedTotal["forged-record"] ?? 0;
  return of(entry) + of(exit);
}

const changes: readonly (readonly [
  string,
  (record: Uint8Array, way: Way) => readonly (Uint8Array | "end")[],
])[] = [
  ["has a bit of its kind flipped", (record) => [record.with(0, record[0]! ^ 2)]],
  ["has a bit of its length flipped", (record) => [record.with(3, record[3]! ^ 1)]],
  ["has the first sealed bit flipped", (record) => [record.with(4, record[4]! ^ 0x80)]],
  ["has the last sealed bit flipped", (record) => [record.with(703, record[703]! ^ 1)]],
  ["has a bit of its tag flipped", (record) => [record.with(719, record[719]! ^ 1)]],
  ["says to be longer than any record", (record) => [record.with(1, 2)]],
  ["comes twice", (record) => [record, record]],
  ["is left out", () => []],
  ["is cut off within, with FIN", (record) => [record.subarray(0, 300), "end"]],
  ["is cut off within its header, with FIN", (record) => [record.subarray(0, 2), "end"]],
  ["is the first that is missing, with FIN", () => ["end"]],
  ["is replaced by a made-up end", () => [Uint8Array.of(RECORD_END, 0, 0, 0, ...Array(16).fill(7))]],
  ["comes without its tag", (record) => [record.subarray(0, 704)]],
  ["has bytes in front of it", (record) => [Buffer.from("GET /"), record]],
];

describe.each(WAYS)("%s, a record that", (way) => {
  test.each(changes)("%s", async (name, change) => {
    const ends = await mesh.open(task);
    const pattern = await exchange(way, ends, 1);
    let isDone = false;
    between.tamper = (frame) => {
      if (isDone || frame.way !== way || !isMessage(frame)) return [frame.bytes];
      isDone = true;
      return change(frame.bytes, way);
    };
    const { sender } = from(way, ends);
    await pattern.send(sender, MESSAGE_BYTES);
    await waitFor(() => isDone, { what: "the record to be tampered with" });
    // what comes behind does not heal it
    const told = await pattern.send(sender, 3000).then(
      () => null,
      (error) => error.code,
    );
    await endings(way, ends, pattern, {
      told,
      bytes: name === "comes twice" ? 2 * MESSAGE_BYTES : MESSAGE_BYTES,
    });
    // the other node may be told by a FIN without the end record, which is one more
    expect(forged()).toBeGreaterThan(0);
  });

  test("changes places with the next", async () => {
    const ends = await mesh.open(task);
    const pattern = await exchange(way, ends, 2);
    let held: Uint8Array | null = null;
    between.tamper = (frame) => {
      if (frame.way !== way || !isMessage(frame)) return [frame.bytes];
      if (held === null) {
        held = frame.bytes;
        return [];
      }
      return [frame.bytes, held];
    };
    await pattern.send(from(way, ends).sender, MESSAGE_BYTES);
    await waitFor(() => held !== null, { what: "the first to be held" });
    await pattern.send(from(way, ends).sender, MESSAGE_BYTES);
    await endings(way, ends, pattern);
  });

  test("is of another connection", async () => {
    const [first, second] = [await mesh.open(task), await mesh.open(task)];
    const [one, two] = [await exchange(way, first, 3), await exchange(way, second, 4)];
    const held = new Map<TamperedLine, Uint8Array>();
    between.tamper = (frame) => {
      if (frame.way !== way || !isMessage(frame) || held.has(frame.line)) return [frame.bytes];
      held.set(frame.line, frame.bytes);
      if (held.size === 2) {
        const [[lineA, a], [lineB, b]] = [...held] as [
          [TamperedLine, Uint8Array],
          [TamperedLine, Uint8Array],
        ];
        lineA.half(way).pass(b);
        lineB.half(way).pass(a);
      }
      return [];
    };
    await one.send(from(way, first).sender, MESSAGE_BYTES);
    await two.send(from(way, second).sender, MESSAGE_BYTES);
    await Promise.all([endings(way, first, one), endings(way, second, two)]);
  });

  test("is the end, and is kept back: FIN alone is no end", async () => {
    const ends = await mesh.open(task);
    const pattern = await exchange(way, ends, 5);
    between.tamper = (frame) => (frame.way === way && isEnd(frame) ? [] : [frame.bytes]);
    const { sender, reader } = from(way, ends);
    sender.finish();
    expect(await pattern.receiveToEnd(reader)).toEqual({ bytes: MESSAGE_BYTES, how: "ECONNRESET" });
    expect(await sender.receiveRest().catch((error) => error.code)).toBe("ECONNRESET");
    await allClosed(entry, exit);
    // the other node may be told by a FIN without the end record, which is one more
    expect(forged()).toBeGreaterThan(0);
  });

  test("is the end is believed, whatever comes behind it", async () => {
    const ends = await mesh.open(task);
    const pattern = await exchange(way, ends, 6);
    between.tamper = (frame) =>
      frame.way === way && isEnd(frame) ? [frame.bytes, Buffer.from("more")] : [frame.bytes];
    const { sender, reader } = from(way, ends);
    sender.finish();
    expect(await pattern.receiveToEnd(reader)).toEqual({ bytes: MESSAGE_BYTES, how: "end" });
    await reader.send("x");
    expect(await sender.receiveText(1)).toBe("x");
  });
});

describe("who is in the middle of the handshake gets nowhere:", () => {
  async function clientFails(): Promise<void> {
    const client = await mesh.connect();
    expect(await client.receiveRest().catch((error) => error.code)).toBe("ECONNRESET");
    expect(await task.hasWaiting()).toBe(false);
  }

  test.each([
    ["the challenge", 5],
    ["the exit node's public key", 30],
  ])("with %s changed", async (_, at) => {
    between.tamper = (frame) =>
      frame.way === "to entry" && frame.index === 0
        ? [frame.bytes.with(at, frame.bytes[at]! ^ 4)]
        : [frame.bytes];
    // those that were greeted before
    await mesh.route(entry, [], []);
    await mesh.route(entry, [between], [on("exit", task)]);
    await clientFails();
    expect(exit.proxy.status().relay.connectionsRefusedTotal.unauthentic).toBeGreaterThan(0);
  });

  test("with a public key whose secret all know", async () => {
    const known = new Uint8Array(GREETING_BYTES).fill(0);
    between.tamper = (frame) =>
      frame.way === "to entry" && frame.index === 0 ? [known.with(0, frame.bytes[0]!)] : [frame.bytes];
    await mesh.route(entry, [], []);
    await mesh.route(entry, [between], [on("exit", task)]);
    await clientFails();
  });

  test.each([
    ["the nonce", 3],
    ["the public key", 20],
    ["the proof", 60],
  ])("with %s of a hello changed", async (_, at) => {
    between.tamper = (frame) =>
      frame.way === "to exit" && frame.index === 0
        ? [frame.bytes.with(at, frame.bytes[at]! ^ 4)]
        : [frame.bytes];
    await clientFails();
    expect(exit.proxy.status().relay.connectionsRefusedTotal.unauthentic).toBeGreaterThan(0);
  });

  test("with the question or the answer of a client changed", async () => {
    for (const way of WAYS) {
      between.tamper = (frame) =>
        frame.way === way && frame.index === 1 ? [frame.bytes.with(4, frame.bytes[4]! ^ 1)] : [frame.bytes];
      const client = await mesh.connect();
      expect(await client.receiveRest().catch((error) => error.code)).toBe("ECONNRESET");
    }
  });
});

describe("what is not sealed", () => {
  async function askInClear(): Promise<RelayGuest> {
    const guest = mesh.keep(await RelayGuest.connect(exit), ({ socket }) => socket.close());
    await guest.ask({ task: `task-${task.port}`, targetPort: task.port }, { isSealed: false });
    return guest;
  }

  test("is refused where it has to be", async () => {
    for (const acceptsClear of [[], ["127.0.0.3", "::1"]]) {
      exit.relay = { ...exit.relay, acceptsClear };
      await mesh.serve(exit, [here(task)]);
      expect(await (await askInClear()).socket.failure()).toBe("ECONNRESET");
    }
    await waitFor(() => exit.proxy.status().relay.connectionsRefusedTotal.clear === 2, {
      what: "both to be counted",
    });
    expect(await task.hasWaiting()).toBe(false);
  });

  test("is taken at an address that it may come to", async () => {
    exit.relay = { ...exit.relay, acceptsClear: ["127.0.0.2"] };
    await mesh.serve(exit, [here(task)]);
    expect(await (await askInClear()).answer()).toBe(0);
    await mesh.accept(task);
  });

  test("goes on beside what is when the table changes, and the other way round", async () => {
    exit.relay = { ...exit.relay, acceptsClear: "always" };
    await mesh.serve(exit, [here(task)]);
    const ends = await mesh.open(task);
    await entry.apply([{ ...exit.peer, isSealed: false }], mesh.service([on("exit", task)]));
    const inClear = await mesh.open(task);
    for (const open of [ends, inClear]) {
      await open.client.send("?");
      expect(await open.task.receiveText(1)).toBe("?");
    }
  });
});

describe("a clear UDP relay", () => {
  /** An entry node that does not seal, and its only client's session. */
  async function start(acceptsClear: readonly string[], listenAddress: string) {
    const [echo, client] = [await UdpPeer.task((data) => data), await UdpPeer.open()];
    for (const peer of [echo, client]) mesh.keep(peer, (open) => open.close());
    const service = { protocol: "udp", published: mesh.published } as const;
    exit.relay = { ...exit.relay, acceptsClear, listenAddresses: [listenAddress] };
    await exit.apply([], { ...service, listenAddresses: [], tasks: [here(echo)] });
    const peer = { ...exit.peer, address: "127.0.0.2", isSealed: false };
    await entry.apply([peer], { ...service, tasks: [on("exit", echo)] });
    return { echo, client };
  }

  test("is not made where it has to be sealed, and that is counted", async () => {
    for (const address of ["127.0.0.2", "0.0.0.0"]) {
      const before = exit.dropped("clear");
      const { echo, client } = await start(["127.0.0.3"], address);
      client.send("x", mesh.published);
      await waitFor(() => exit.dropped("clear") > before, { what: "the handshake to be refused" });
      expect(echo.received).toEqual([]);
    }
  });

  test("is made at an address that it may come to, and ends when it may no longer", async () => {
    for (const address of ["127.0.0.2", "0.0.0.0"]) {
      const { echo, client } = await start(["127.0.0.2"], address);
      expect((await client.ask("x", mesh.published)).data.toString()).toBe("x");
      const before = exit.dropped("clear");
      exit.relay = { ...exit.relay, acceptsClear: [] };
      const service = { protocol: "udp", published: mesh.published, listenAddresses: [] } as const;
      await exit.apply([], { ...service, tasks: [here(echo)] });
      expect(exit.status.relayedUdp.openSessions).toBe(0);
      client.send("y", mesh.published);
      await waitFor(() => exit.dropped("clear") > before, { what: "the handshake to be refused" });
      expect(echo.texts).toEqual(["x"]);
    }
  });
});

test("keys change under load, and no connection fails", async () => {
  let isOver = false;
  let hasClients = true;
  let served = 0;
  const failures: string[] = [];
  const serving = (async () => {
    while (hasClients) {
      const next = await task.accept().catch(() => null);
      if (next === null) continue;
      void (async () => {
        const said = await next.receiveText(3000);
        await next.send(said.slice(0, 1000));
        next.close();
      })().catch(() => {});
    }
  })();
  const client = async () => {
    while (!isOver) {
      const socket = await mesh.connect();
      try {
        await socket.send("x".repeat(3000));
        expect(await socket.receiveRest()).toBe("x".repeat(1000));
        served++;
      } catch (error) {
        failures.push(String(error));
      }
      socket.close();
    }
  };
  const clients = Array.from({ length: 8 }, client);
  const steps: (readonly [string[], RelayNode])[] = [
    [[RELAY_KEY, NEW_KEY], exit],
    [[RELAY_KEY, NEW_KEY], entry],
    [[NEW_KEY, RELAY_KEY], entry],
    [[NEW_KEY, RELAY_KEY], exit],
    [[NEW_KEY], exit],
    [[NEW_KEY], entry],
  ];
  for (const [keys, node] of steps) {
    const before = served;
    await waitFor(() => served >= before + 50, { what: "clients to be served" });
    node.relay = { ...node.relay, keys };
    if (node === exit) await mesh.serve(exit, [here(task)]);
    else await mesh.route(entry, [between], [on("exit", task)]);
  }
  const before = served;
  await waitFor(() => served >= before + 50, { what: "clients to be served with the new key" });
  isOver = true;
  await Promise.all(clients);
  hasClients = false;
  await mesh.connect();
  await serving;
  expect(failures).toEqual([]);
  expect(entry.status.refusedTotal).toEqual({});
  expect(exit.proxy.status().relay.connectionsRefusedTotal).toEqual({});
}, 60_000);
