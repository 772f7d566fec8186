/**
 * Which nodes the overlay reaches, how long that takes and how large packets may be, measured by echoes between overlay
 * addresses (overlay/path).
 */
import { isIP } from "node:net";
import {
  type EchoHeard,
  type EchoPeerEnd,
  EchoService,
  type EchoSocket,
  type OverlayEnd,
  type OverlayPeer,
  sealedOverheadBytes,
  vxlanOverheadBytes,
} from "../../overlay/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { EchoSockets } from "./echo-sockets.ts";
import type { PeerFigures } from "./overlay-status.ts";

const RETRY_MS = 5_000;

export interface WatchedPeer extends OverlayPeer {
  /** UDP, at its overlay address. */
  readonly echoPort: number;
  /** What echoes are proved with; null: the cluster has no keys. */
  readonly echoSecrets: readonly string[] | null;
}

export interface PathWatchOptions {
  readonly end: OverlayEnd;
  readonly sockets: EchoSockets;
  /** The longest packet that the device takes. */
  readonly deviceMtuBytes: number;
  readonly random: () => number;
  /** Not set by anybody. */
  readonly clock: Clock;
  /** The path to a node is another than before. */
  readonly onChange: () => void;
  /** The socket of echoes is open. */
  readonly onOpen: () => void;
  /** Echoes cannot be had: no path will be known. */
  readonly onError: (error: Error) => void;
}

export type Paths = Pick<
  PathWatch,
  "setPeers" | "setDeviceMtu" | "isUp" | "mtuOf" | "figuresOf" | "heard" | "probe" | "error" | "close"
>;

export class PathWatch {
  readonly #options: PathWatchOptions;
  #deviceMtuBytes: number;
  #echoes: EchoService | null = null;
  #error: Error | null = null;
  #cancelRetry = () => {};
  #peers: readonly WatchedPeer[] = [];
  #active: ReadonlySet<string> = new Set();
  #isClosed = false;

  constructor(options: PathWatchOptions) {
    this.#options = options;
    this.#deviceMtuBytes = options.deviceMtuBytes;
    this.#open();
  }

  /** @param active names of those that packets go to */
  setPeers(peers: readonly WatchedPeer[], active: ReadonlySet<string>): void {
    this.#peers = peers;
    this.#active = active;
    this.#echoes?.setPeers(peers.map(echoEnd));
    this.#echoes?.setActive(active);
  }

  setDeviceMtu(mtuBytes: number): void {
    this.#deviceMtuBytes = mtuBytes;
    this.#echoes?.setDeviceMtu(mtuBytes);
  }

  /** Something has come back from this node lately. */
  isUp(name: string): boolean {
    return this.#echoes?.report(name)?.isUp === true;
  }

  /** The longest packet that gets to it; null: not known. */
  mtuOf(name: string): number | null {
    return this.isUp(name) ? this.#echoes!.report(name)!.mtu : null;
  }

  figuresOf(name: string): Partial<PeerFigures> {
    const report = this.#echoes?.report(name) ?? null;
    if (report === null) return {};
    return { mtuBytes: this.mtuOf(name), rttMs: report.rttMs, loss: report.loss };
  }

  /** Why no echoes can be had; null: they can. */
  get error(): Error | null {
    return this.#error;
  }

  /** In the time of the steady clock; null: nothing is known of it. */
  heard(name: string): EchoHeard | null {
    return this.#echoes?.heard(name) ?? null;
  }

  /** One more echo to it now; `heard` shows its reply. */
  probe(name: string): void {
    this.#echoes?.probe(name);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelRetry();
    this.#echoes?.close();
    this.#echoes = null;
  }

  #open(): void {
    const { end, sockets } = this.#options;
    sockets.at(end.address).then(
      (socket) => this.#begin(socket),
      (error: Error) => this.#onError(error),
    );
  }

  /** Told once, tried again until it can be had. */
  #onError(error: Error): void {
    if (this.#isClosed) return;
    if (this.#error === null) this.#options.onError(error);
    this.#error = error;
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => this.#open());
  }

  #begin(socket: EchoSocket): void {
    if (this.#isClosed) return;
    const { end, random, clock, onChange, onOpen } = this.#options;
    const { address } = end;
    this.#echoes = new EchoService({
      address,
      socket,
      clock,
      deviceMtu: this.#deviceMtuBytes,
      random,
      onChange,
    });
    this.#error = null;
    this.setPeers(this.#peers, this.#active);
    onOpen();
  }
}

function echoEnd({ echoSecrets, secrets, ...peer }: WatchedPeer): EchoPeerEnd {
  const { name, overlayAddress, underlayAddress, echoPort } = peer;
  const family = isIP(underlayAddress) === 6 ? 6 : 4;
  const overheadBytes = secrets === null ? vxlanOverheadBytes(family) : sealedOverheadBytes(family);
  return {
    name,
    overlayAddress,
    echoPort,
    underlayAddress,
    overheadBytes,
    secrets: echoSecrets,
  };
}
