/**
 * Gossip without sockets: nodes of one test that reach each other in virtual time. Nothing is lost or reordered; whoever
 * is closed is silent.
 */
import type { GossipTransport } from "../../../src/node/cluster/gossip-transport.ts";
import type { Datagram } from "../../../src/sys/datagram-socket.ts";
import { CLOSED_EARLY, type DialOptions, type ListenOptions } from "../../../src/sys/exchange.ts";
import { formatIp } from "../../../src/wire/index.ts";
import type { ManualClock } from "../time/manual-clock.ts";

/** Of one way. */
const LATENCY_MS = 1;
const DIALER_PORT = 40_000;

export class MemoryGossip {
  readonly #clock: ManualClock;
  readonly #listeners = new Map<string, ListenOptions>();
  readonly #receivers = new Map<string, (datagram: Datagram) => void>();

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  readonly transport: GossipTransport = {
    listen: async (options) => {
      const key = keyOf(options.host, options.port);
      if (this.#listeners.has(key)) throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
      this.#listeners.set(key, options);
      return { fd: -1, duplicate: () => -1, close: () => this.#listeners.delete(key) };
    },
    dial: (options) => this.#dial(options),
    openDatagrams: async ({ host, port, onDatagram }) => {
      const key = keyOf(host, port);
      this.#receivers.set(key, onDatagram);
      const send = (bytes: Uint8Array, to: string, toPort: number) => {
        const copy = bytes.slice();
        const deliver = () => this.#receivers.get(keyOf(to, toPort))?.({ bytes: copy, host, port });
        if (this.#receivers.get(key) === onDatagram) this.#clock.after(LATENCY_MS, deliver);
        return true;
      };
      return {
        fd: -1,
        send,
        duplicate: () => -1,
        sendFrom: (_source, bytes, to, toPort) => send(bytes, formatIp(to.length === 4 ? 4 : 6, to), toPort),
        close: () => {
          if (this.#receivers.get(key) === onDatagram) this.#receivers.delete(key);
        },
      };
    },
  };

  async #dial({ host, port, localHost, request, reader }: DialOptions): Promise<{ error: string | null }> {
    await this.#pause();
    const responder = this.#listeners.get(keyOf(host, port))?.onOpen(localHost ?? "127.0.0.1", DIALER_PORT);
    if (responder === undefined) return { error: "ECONNREFUSED" };
    const answer = responder.push(request.slice());
    await this.#pause();
    if (reader === null) return { error: null };
    return { error: reader.push(answer?.bytes ?? new Uint8Array()) ? null : CLOSED_EARLY };
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(LATENCY_MS, resolve);
    });
  }
}

/** Lets time pass until it is done. */
export async function inTime<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const end = () => {
    isDone = true;
  };
  work.then(end, end);
  for (let waitedMs = 0; !isDone; waitedMs += STEP_MS) {
    if (waitedMs > MAX_WAIT_MS) throw new Error(`not done after ${MAX_WAIT_MS} ms of virtual time`);
    await clock.advance(STEP_MS);
    await new Promise(setImmediate); // a node's admin socket is a real one
  }
  return await work;
}

/** Lets time pass until it holds. */
export async function until(clock: ManualClock, holds: () => boolean): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += STEP_MS) {
    if (waitedMs > MAX_WAIT_MS) throw new Error(`does not hold after ${MAX_WAIT_MS} ms of virtual time`);
    await clock.advance(STEP_MS);
  }
}

const STEP_MS = 10;
const MAX_WAIT_MS = 60_000;

function keyOf(host: string, port: number): string {
  return `${host} ${port}`;
}
