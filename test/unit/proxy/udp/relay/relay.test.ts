/** The two ends of a relay, over a channel that the test controls. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UNUSED_RELAY_MS } from "../../../../../src/proxy/udp/relay/entry-relay.ts";
import { COOKIE_PERIOD_MS } from "../../../../../src/proxy/udp/relay/exit-handshake.ts";
import { MAX_KEPT } from "../../../../../src/proxy/udp/relay/kept-datagrams.ts";
import { ERROR_DRAINING, ERROR_NO_SUCH_TASK, ERROR_REFUSED } from "../../../../../src/wire/index.ts";
import { seededRandom } from "../../../../support/random/seeded-random.ts";
import { MODES } from "../../../../support/relay/relay-node.ts";
import { type Client, ExitNode, KEY, RelayPair } from "./relay-pair.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  function randomBytes(seed: number): (bytes: number) => Uint8Array {
    const random = seededRandom(seed);
    return (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256));
  }

  function pairOf(entryKey = KEY, exitKeys: readonly Uint8Array[] = [KEY]): RelayPair {
    return new RelayPair(randomBytes(7), isSealed, entryKey, exitKeys);
  }

  /** A pair whose relay is ready, with one session that has been accepted. */
  function openPair(): { pair: RelayPair; client: Client } {
    const pair = pairOf();
    const client = pair.client();
    pair.send(client, "first");
    pair.settle();
    expect(client.answers).toEqual(["first"]);
    return { pair, client };
  }

  describe("a relay", () => {
    test("is made by the first datagram, which is delivered, and carries more both paths", () => {
      const { pair, client } = openPair();
      expect(pair.relay.state).toBe("ready");
      pair.send(client, "second");
      pair.settle();
      expect(client.answers).toEqual(["first", "second"]);
      expect(pair.exit.deliveries).toEqual([
        { id: 1, header: "header", data: "first" },
        { id: 1, header: "header", data: "second" },
      ]);
      expect([...pair.exit.relays.values()].map(({ confirmed }) => confirmed.publicKey !== null)).toEqual([
        isSealed,
      ]);
    });

    test("keeps what is sent while it is being made, in order and of several sessions, up to a limit", () => {
      const pair = pairOf();
      const clients = [pair.client("a"), pair.client("b")];
      for (let i = 0; i < MAX_KEPT; i++) expect(pair.send(clients[i % 2]!, `${i}`)).toBe(true);
      expect(pair.send(clients[0]!, "too many")).toBe(false);
      pair.settle();
      expect(pair.exit.deliveries.map(({ data }) => data)).toEqual(
        Array.from({ length: MAX_KEPT }, (_, i) => `${i}`),
      );
      expect(new Set(pair.exit.deliveries.map(({ header }) => header))).toEqual(new Set(["a", "b"]));
      expect(pair.send(clients[0]!, "room again")).toBe(true);
    });

    test.each(["hello", "challenge", "confirm", "ready"])("survives the loss of its %s", (lost) => {
      const pair = pairOf();
      const client = pair.client();
      pair.send(client, "x");
      const steps = { hello: 0, challenge: 1, confirm: 2, ready: 3 };
      for (let step = 0; step < steps[lost as keyof typeof steps]; step++) {
        if (step % 2 === 0) pair.deliverToExit(pair.toExit.shift()!);
        else pair.deliverToEntry(pair.toEntry.shift()!);
      }
      expect(pair.toExit.length + pair.toEntry.length).toBe(1);
      pair.toExit.length = pair.toEntry.length = 0;
      pair.advance(1000, () => pair.settle());
      expect(client.answers).toEqual(["x"]);
      expect(pair.exit.relays.size).toBe(1);
    });

    test.each([1, 150, 600, 1200, 1800])("is made over %d ms there and back", (rttMs) => {
      const pair = pairOf();
      const client = pair.client();
      pair.send(client, "x");
      const sent = pair.settleLater(rttMs, 15_000);
      expect(client.answers).toEqual(["x"]);
      expect(pair.errors).toEqual([]);
      // HELLOs until the CHALLENGE comes, and not many CONFIRMs
      expect(sent).toBeLessThanOrEqual(10 + 4);
    });

    test.each([20, 600, 1200])("is made over %d ms there and back where 30 %% get lost", (rttMs) => {
      let failures = 0;
      for (let seed = 1; seed <= 100; seed++) {
        const pair = pairOf();
        const random = seededRandom(seed);
        pair.rttMs = rttMs;
        pair.isPeerHeard = true;
        pair.send(pair.client(), "x");
        pair.settleLater(rttMs, 15_000, () => random() < 0.3);
        failures += pair.errors.length;
      }
      expect(failures).toBeLessThanOrEqual(3);
    });

    test("asks no more often than the round trip that is known allows", () => {
      const pair = pairOf();
      pair.rttMs = 1800;
      pair.send(pair.client(), "x");
      const sent = pair.settleLater(1800, 15_000);
      expect(pair.relay.state).toBe("ready");
      expect(sent).toBeLessThanOrEqual(3 + 3);
    });

    test("stays where 30 % get lost while the heartbeat of its peer is heard", () => {
      const { pair } = openPair();
      const random = seededRandom(1);
      pair.isPeerHeard = true;
      pair.settleLater(100, 300_000, () => random() < 0.3);
      expect(pair.errors).toEqual([]);
    });

    test("starts over when the exit node is restarted between CHALLENGE and CONFIRM", () => {
      const pair = pairOf();
      const client = pair.client();
      pair.send(client, "x");
      pair.deliverToExit(pair.toExit.shift()!);
      pair.exit = new ExitNode(pair, [KEY]);
      pair.settle();
      expect(pair.exit.dropped).toEqual(["stale"]);
      pair.advance(1500, () => pair.settle());
      expect(client.answers).toEqual(["x"]);
    });

    test("that cannot be made gives its datagrams back; the next one tries again", () => {
      const pair = pairOf();
      const client = pair.client();
      pair.send(client, "x");
      pair.advance(5000, () => {
        pair.toExit.length = 0;
      });
      expect(pair.relay.state).toBe("closed");
      expect(pair.errors).toEqual(["timeout"]);
      expect(client.givenBack).toEqual(["x"]);
      pair.send(client, "y");
      pair.settle();
      expect(client.answers).toEqual(["y"]);
    });

    test("with sessions is probed when it is silent, and fails without a reply", () => {
      const { pair } = openPair();
      pair.advance(60_000, () => pair.settle());
      expect(pair.relay.state).toBe("ready");
      expect(pair.exit.dropped).toEqual([]);
      pair.advance(10_000, () => {
        pair.toExit.length = 0;
      });
      expect(pair.relay.state).toBe("closed");
      expect(pair.errors).toEqual(["timeout"]);
    });

    test("without sessions is closed at both ends after a while", () => {
      const { pair, client } = openPair();
      pair.relay.remove(client.relayed);
      pair.settle();
      expect(pair.exit.sessions).toBe(0);
      pair.advance(UNUSED_RELAY_MS - 1000);
      expect([pair.relay.state, pair.unused]).toEqual(["ready", 0]);
      pair.advance(2000);
      expect([pair.relay.state, pair.unused]).toEqual(["closed", 1]);
      pair.settle();
      expect(pair.exit.relays.size).toBe(0);
    });

    test("is made anew when the exit node has forgotten it; only the datagram that found out is lost", () => {
      const { pair, client } = openPair();
      pair.exit = new ExitNode(pair, [KEY]);
      for (const text of ["lost", "lost too"]) pair.send(client, text);
      pair.deliverToExit(pair.toExit.shift()!);
      pair.toExit.length = 0;
      pair.deliverToEntry(pair.toEntry.shift()!);
      expect(pair.relay.state).toBe("handshaking");
      pair.send(client, "kept");
      pair.settle();
      expect(client.answers).toEqual(["first", "kept"]);
    });
  });

  describe("a session", () => {
    test("is announced until it is answered: any datagram may get lost", () => {
      const { pair } = openPair();
      const client = pair.client("new");
      pair.send(client, "lost");
      pair.toExit.length = 0;
      pair.send(client, "x");
      pair.settle();
      expect(pair.exit.deliveries.at(-1)).toEqual({ id: 2, header: "new", data: "x" });
      expect(client.relayed.isOpened).toBe(true);
    });

    test("is accepted by an acknowledgement where the task never answers", () => {
      const { pair } = openPair();
      pair.exit.hasAnswers = false;
      const client = pair.client("syslog");
      pair.send(client, "a");
      pair.toExit.push(...pair.toExit);
      pair.settle();
      expect(client.relayed.isOpened).toBe(true);
      pair.send(client, "b");
      expect(pair.toExit[0]!.length).toBe(41);
      pair.settle();
      expect(pair.exit.deliveries.slice(1).map(({ data }) => data)).toEqual(["a", "b"]);
    });

    test.each([ERROR_NO_SUCH_TASK, ERROR_REFUSED, ERROR_DRAINING])(
      "that the exit node rejects gives back what it has sent (code %d)",
      (code) => {
        const { pair, client: other } = openPair();
        pair.exit.refusal = code;
        const client = pair.client();
        pair.send(client, "a");
        pair.send(client, "b");
        pair.settle();
        expect(client.givenBack).toEqual(["a", "b"]);
        expect(client.rejections).toEqual([code, code]);
        expect(other.givenBack).toEqual([]);
      },
    );

    test("that the exit node has ended is announced again", () => {
      const { pair, client } = openPair();
      [...pair.exit.relays.values()][0]!.remove(client.relayed.id, 0);
      pair.settle();
      expect(client.relayed.isOpened).toBe(false);
      pair.send(client, "again");
      pair.settle();
      expect(client.answers).toEqual(["first", "again"]);
    });

    test("whose end got lost on its path is announced again after one more datagram", () => {
      const { pair, client } = openPair();
      [...pair.exit.relays.values()][0]!.remove(client.relayed.id, 0);
      pair.toEntry.length = 0;
      for (const text of ["lost", "again"]) {
        pair.send(client, text);
        pair.settle();
      }
      expect(client.answers).toEqual(["first", "again"]);
    });

    test("that ends here ends there, also before it was accepted", () => {
      const { pair, client } = openPair();
      pair.exit.hasAnswers = false;
      const second = pair.client();
      pair.send(second, "x");
      expect(pair.relay.remove(second.relayed)).toBe(1);
      expect(pair.toExit.length).toBe(2);
      expect(pair.relay.remove(client.relayed)).toBe(0);
      pair.settle();
      expect(pair.exit.sessions).toBe(0);
      expect(pair.relay.sessions).toBe(0);
    });
  });

  test("a session that is opened behind its own end is ended by its first answer", () => {
    const { pair } = openPair();
    const client = pair.client();
    pair.send(client, "late");
    pair.relay.remove(client.relayed);
    pair.toExit.reverse();
    pair.settle();
    expect(pair.exit.deliveries.at(-1)!.data).toBe("late");
    expect(pair.exit.sessions).toBe(1);
    expect(pair.relay.sessions).toBe(1);
  });

  describe("nobody else", () => {
    test("gets an answer under another key", () => {
      const pair = pairOf(KEY.with(0, 0));
      pair.send(pair.client(), "x");
      pair.settle();
      expect(pair.exit.dropped).toEqual(["unauthentic"]);
      expect(pair.exit.relays.size).toBe(0);
    });

    test("than who has one of the exit node's keys is served", () => {
      const second = KEY.with(3, 3);
      const pair = pairOf(second, [KEY, second]);
      const client = pair.client();
      pair.send(client, "x");
      pair.settle();
      expect(client.answers).toEqual(["x"]);
    });

    test("makes an exit node keep anything by HELLOs", () => {
      const pair = pairOf();
      pair.send(pair.client(), "x");
      const hello = pair.toExit.shift()!;
      for (let i = 0; i < 1000; i++) pair.exit.receive(hello, Uint8Array.of(i >> 8, i));
      expect(pair.toEntry.length).toBe(1000);
      expect(Math.max(...pair.toEntry.map(({ length }) => length))).toBeLessThanOrEqual(hello.length);
      expect(pair.exit.relays.size).toBe(0);
    });

    test("can use a CONFIRM from another address or much later", () => {
      const pair = pairOf();
      pair.send(pair.client(), "x");
      pair.deliverToExit(pair.toExit.shift()!);
      pair.deliverToEntry(pair.toEntry.shift()!);
      const confirm = pair.toExit.shift()!;
      pair.exit.receive(confirm, Uint8Array.of(10, 0, 0, 1, 1, 1));
      pair.nowMs += 2 * COOKIE_PERIOD_MS;
      pair.exit.receive(confirm);
      expect(pair.exit.dropped).toEqual(["stale", "stale"]);
      expect(pair.exit.relays.size).toBe(0);
    });

    test("gets anything through by sending recorded datagrams again, either path", () => {
      const { pair, client } = openPair();
      pair.send(client, "once");
      const toExit = [...pair.toExit];
      pair.deliverToExit(pair.toExit.shift()!);
      const toEntry = [...pair.toEntry];
      pair.settle();
      for (const bytes of toExit) pair.deliverToExit(bytes);
      for (const bytes of toEntry) pair.deliverToEntry(bytes);
      expect(pair.exit.deliveries.map(({ data }) => data)).toEqual(["first", "once"]);
      expect(client.answers).toEqual(["first", "once"]);
      expect([pair.exit.dropped, pair.dropped]).toEqual([["replayed"], ["replayed"]]);
    });

    test("gets anything through by a recording of a whole relay, handshake and all", () => {
      const pair = pairOf();
      const client = pair.client();
      const recording: Uint8Array[] = [];
      pair.send(client, "x");
      while (pair.toExit.length > 0) {
        recording.push(pair.toExit[0]!);
        pair.deliverToExit(pair.toExit.shift()!);
        while (pair.toEntry.length > 0) pair.deliverToEntry(pair.toEntry.shift()!);
      }
      pair.relay.end();
      pair.settle();
      expect(pair.exit.relays.size).toBe(0);
      for (const bytes of recording) pair.deliverToExit(bytes);
      expect(pair.exit.relays.size).toBe(1);
      expect(pair.exit.deliveries.length).toBe(1);
      expect(pair.exit.dropped).toEqual(["unauthentic"]);
    });

    test("can send a datagram back to where it came from", () => {
      const { pair, client } = openPair();
      pair.send(client, "mine");
      pair.deliverToEntry(pair.toExit[0]!);
      expect(pair.dropped).toEqual(["unauthentic"]);
    });
  });

  /** One thing that happens; channel ends are picked by `pick`. */
  const step = fc.record({
    kind: fc.constantFrom(
      ...["send", "send", "toExit", "toExit", "toExit", "toEntry", "toEntry", "toEntry", "lose", "double"],
      ...["time", "end", "restart"],
    ),
    pick: fc.nat(1000),
  });

  class Chaos {
    readonly pair: RelayPair;
    clients: Client[] = [];
    readonly sent = new Set<string>();
    restarts = 0;
    #count = 0;

    constructor(
      seed: number,
      readonly hasRestarts: boolean,
    ) {
      this.pair = new RelayPair(randomBytes(seed), isSealed);
      for (let i = 0; i < 4; i++) this.#add();
    }

    apply(kind: string, pick: number): void {
      const { pair } = this;
      const queue = pick % 2 === 0 ? pair.toExit : pair.toEntry;
      if (kind === "send") this.send(this.clients[pick % this.clients.length]!);
      else if (kind === "toExit") takeAny(pair.toExit, pick, (bytes) => pair.deliverToExit(bytes));
      else if (kind === "toEntry") takeAny(pair.toEntry, pick, (bytes) => pair.deliverToEntry(bytes));
      else if (kind === "lose") takeAny(queue, pick, () => {});
      else if (kind === "double") queue.push(...queue.slice(pick % 7, (pick % 7) + 1));
      else if (kind === "time") pair.advance(pick);
      else if (kind === "end") this.#replace(pick % this.clients.length);
      else if (this.hasRestarts) this.#restart();
    }

    send(client: Client): void {
      const text = `${client.relayed.id}/${this.#count++}`;
      if (this.pair.send(client, text)) this.sent.add(text);
    }

    check(): void {
      const { exit } = this.pair;
      for (const { id, header, data } of exit.deliveries) {
        expect(this.sent.has(data)).toBe(true);
        expect([data.split("/")[0], header]).toEqual([`${id}`, `header of ${data.split("/")[0]}`]);
      }
      const all = exit.deliveries.map(({ data }) => data);
      if (this.restarts === 0 && this.pair.errors.length === 0) expect(new Set(all).size).toBe(all.length);
      for (const { relayed, answers } of this.clients) {
        for (const text of answers) expect(text).toStartWith(`${relayed.id}/`);
      }
      expect(exit.dropped.filter((reason) => reason === "malformed")).toEqual([]);
    }

    /** With nothing lost any more, every session works within a few timers. */
    checkRecovery(): void {
      const { pair } = this;
      pair.settle();
      for (const client of this.clients) {
        this.send(client);
        pair.settle();
        pair.advance(8000, () => pair.settle());
        client.answers.length = 0;
        this.send(client);
        pair.settle();
        expect(client.answers.length).toBeGreaterThanOrEqual(1);
      }
      for (const client of this.clients) pair.relay.remove(client.relayed);
      pair.settle();
      // one whose CLOSE and answers were all lost stays until it has been idle for long
      const { sessions } = [...pair.exit.relays.values()].at(-1)!;
      for (const { relayed } of this.clients) expect(sessions.has(relayed.id)).toBe(false);
    }

    #add(): void {
      const id = this.#nextId++;
      const client = this.pair.client(`header of ${id}`);
      expect(client.relayed.id).toBe(id);
      this.clients.push(client);
    }

    #nextId = 1;

    #replace(index: number): void {
      this.pair.relay.remove(this.clients.splice(index, 1)[0]!.relayed);
      this.#add();
    }

    #restart(): void {
      const { deliveries, dropped } = this.pair.exit;
      this.restarts++;
      this.pair.exit = new ExitNode(this.pair, [KEY]);
      this.pair.exit.deliveries.push(...deliveries);
      this.pair.exit.dropped.push(...dropped);
    }
  }

  function takeAny(queue: Uint8Array[], pick: number, use: (bytes: Uint8Array) => void): void {
    if (queue.length > 0) use(queue.splice(pick % Math.min(queue.length, 5), 1)[0]!);
  }

  test.each([false, true])(
    "whatever is lost, doubled or reordered, datagrams stay with their session and it recovers (restarts: %p)",
    (hasRestarts) => {
      fc.assert(
        fc.property(fc.integer(), fc.array(step, { maxLength: 300, size: "max" }), (seed, steps) => {
          const chaos = new Chaos(seed, hasRestarts);
          for (const { kind, pick } of steps) chaos.apply(kind, pick);
          chaos.check();
          chaos.checkRecovery();
          chaos.check();
        }),
        { numRuns: 200 },
      );
    },
  );
});
