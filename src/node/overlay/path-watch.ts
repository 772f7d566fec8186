/**
 * What comes back over the overlay: echoes between overlay addresses (overlay/path) tell which nodes it reaches, how
 * long that takes and how large packets may be.
 */
import { isIP } from "node:net";
import {
  type EchoPeerEnd,
  EchoService,
  echoPort,
  type OverlayEnd,
  type OverlayPeer,
  sealedOverheadBytes,
  vxlanOverheadBytes,
} from "../../overlay/index.ts";
import type { PeerFigures } from "./overlay-status.ts";

export interface WatchedPeer extends OverlayPeer {
  /** What echoes are proved with; null: the cluster has no keys. */
  readonly echoSecrets: readonly string[] | null;
}

export interface PathWatchOptions {
  readonly end: OverlayEnd;
  /** The longest packet that the device takes. */
  readonly deviceMtuBytes: number;
  readonly random: () => number;
  /** The path to a node is another than before. */
  readonly onChange: () => void;
  /** Echoes cannot be had: no path will be known. */
  readonly onError: (error: Error) => void;
}

export class PathWatch {
  #echoes: EchoService | null = null;
  #peers: readonly WatchedPeer[] = [];
  #active: ReadonlySet<string> = new Set();
  #isClosed = false;

  constructor({ end, deviceMtuBytes, random, onChange, onError }: PathWatchOptions) {
    const { address, port } = end;
    const options = { address, port: echoPort(port), deviceMtu: deviceMtuBytes, random, onChange };
    EchoService.open(options).then((echoes) => this.#begin(echoes), onError);
  }

  /** @param active names of those that packets go to */
  setPeers(peers: readonly WatchedPeer[], active: ReadonlySet<string>): void {
    this.#peers = peers;
    this.#active = active;
    this.#echoes?.setPeers(peers.map(echoEnd));
    this.#echoes?.setActive(active);
  }

  setDeviceMtu(mtuBytes: number): void {
    this.#echoes?.setDeviceMtu(mtuBytes);
  }

  /** Something has come back from this node lately. */
  isUp(name: string): boolean {
    const state = this.#echoes?.report(name)?.state;
    return state === "searching" || state === "search-complete";
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

  close(): void {
    this.#isClosed = true;
    this.#echoes?.close();
    this.#echoes = null;
  }

  #begin(echoes: EchoService): void {
    if (this.#isClosed) return echoes.close();
    this.#echoes = echoes;
    this.setPeers(this.#peers, this.#active);
  }
}

function echoEnd({ echoSecrets, secrets, ...peer }: WatchedPeer): EchoPeerEnd {
  const { name, overlayAddress, underlayAddress, port } = peer;
  const family = isIP(underlayAddress) === 6 ? 6 : 4;
  const overheadBytes = secrets === null ? vxlanOverheadBytes(family) : sealedOverheadBytes(family, 0);
  return {
    name,
    overlayAddress,
    echoPort: echoPort(port),
    underlayAddress,
    overheadBytes,
    secrets: echoSecrets,
  };
}
