/**
 * Somebody between an entry node and an exit node, who sees every relay connection in frames (the greeting, the hello,
 * records) and passes on what a test says.
 */
import type { Peer } from "../../../src/proxy/index.ts";
import { GREETING_BYTES, HELLO_BYTES, recordLength } from "../../../src/wire/index.ts";
import type { RelayNode } from "./relay-node.ts";

export type Way = "to exit" | "to entry";

export interface Frame {
  readonly way: Way;
  /** Of the relay connection. */
  readonly line: TamperedLine;
  /** In its direction: 0 is the greeting or the hello. */
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** What is passed on instead; "end" stands for FIN. */
export type Tamper = (frame: Frame) => readonly (Uint8Array | "end")[];

const NOTHING: Tamper = ({ bytes }) => [bytes];

/** A connection from the entry node and the one to the exit node that belongs to it. */
export class TamperedLine {
  readonly toExit: HalfLine;
  readonly toEntry: HalfLine;

  constructor(tamperer: RelayTamperer, entry: Bun.Socket<TamperedLine>, exit: Bun.Socket<TamperedLine>) {
    this.toExit = new HalfLine(tamperer, this, "to exit", HELLO_BYTES, exit);
    this.toEntry = new HalfLine(tamperer, this, "to entry", GREETING_BYTES, entry);
  }

  half(way: Way): HalfLine {
    return way === "to exit" ? this.toExit : this.toEntry;
  }
}

class HalfLine {
  #received: Uint8Array = new Uint8Array(0);
  #waiting: Uint8Array = new Uint8Array(0);
  #index = 0;
  #isEnding = false;

  constructor(
    readonly tamperer: RelayTamperer,
    readonly line: TamperedLine,
    readonly way: Way,
    readonly firstBytes: number,
    readonly destination: Bun.Socket<TamperedLine>,
  ) {}

  onBytes(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const length = this.#frameLength();
      if (length <= 0 || length > this.#received.length) return;
      const frame = this.#received.slice(0, length);
      this.#received = this.#received.subarray(length);
      const { line, way } = this;
      for (const part of this.tamperer.tamper({ way, line, index: this.#index++, bytes: frame }))
        this.pass(part);
    }
  }

  pass(part: Uint8Array | "end"): void {
    if (part === "end") this.#isEnding = true;
    else this.#waiting = Buffer.concat([this.#waiting, part]);
    this.flush();
  }

  flush(): void {
    if (this.#waiting.length > 0)
      this.#waiting = this.#waiting.subarray(Math.max(0, this.destination.write(this.#waiting)));
    if (this.#isEnding && this.#waiting.length === 0) this.destination.shutdown();
  }

  #frameLength(): number {
    if (this.#index === 0) return this.firstBytes;
    return recordLength(this.#received, 0, this.#received.length);
  }
}

export class RelayTamperer {
  tamper: Tamper = NOTHING;
  readonly #listener: Bun.TCPSocketListener<TamperedLine>;

  constructor(
    readonly exit: RelayNode,
    readonly address: string,
  ) {
    const { address: exitAddress, port } = exit.peer;
    this.#listener = Bun.listen<TamperedLine>({
      hostname: address,
      port: 0,
      allowHalfOpen: true,
      socket: {
        open: (entry) => {
          entry.pause();
          void Bun.connect<TamperedLine>({
            hostname: exitAddress,
            port,
            allowHalfOpen: true,
            socket: {
              open: (socket) => {
                entry.data = socket.data = new TamperedLine(this, entry, socket);
                entry.resume();
              },
              data: (socket, bytes) => socket.data.toEntry.onBytes(bytes),
              drain: (socket) => socket.data?.toExit.flush(),
              end: (socket) => socket.data.toEntry.pass("end"),
              close: (_, error) => void (error ? entry.terminate() : entry.end()),
              error: () => entry.terminate(),
            },
          }).catch(() => entry.terminate());
        },
        data: (entry, bytes) => entry.data.toExit.onBytes(bytes),
        drain: (entry) => entry.data?.toEntry.flush(),
        end: (entry) => entry.data?.toExit.pass("end"),
        close: (entry, error) =>
          void (error ? entry.data?.toExit.destination.terminate() : entry.data?.toExit.destination.end()),
        error: (entry) => entry.data?.toExit.destination.terminate(),
      },
    });
  }

  get peer(): Peer {
    return { ...this.exit.peer, address: this.address, port: this.#listener.port };
  }

  stop(): void {
    this.#listener.stop(true);
  }
}
