/**
 * Makes a device what it has to be, whatever happened to it: reads what the kernel reports, plans, repairs, and reads
 * again, for one change brings others: a device that is put down loses its routes. What is right is left alone.
 *
 * Who has made the device knows it by its index from then on, also under another name.
 */
import { EEXIST } from "../../sys/errno.ts";
import { AF_INET } from "../../sys/sockaddr.ts";
import type { PeerEntry, RefusedPeer } from "../plan-entries.ts";
import {
  addAddress,
  addRoute,
  findLink,
  listAddresses,
  listForwarding,
  listNeighbours,
  listRoutes,
  NetlinkError,
  type NetlinkSession,
  type Route,
  readIngressFilter,
  removeAddress,
  removeForwarding,
  removeNeighbour,
  removeRoute,
  replaceForwarding,
  replaceNeighbour,
  replaceRoute,
  setIngressFilter,
  setLink,
} from "../rtnetlink/index.ts";
import { findDetours, nameRouteInTheWay } from "./others-routes.ts";
import { type Fault, planRepairs, type Repair, ROUTE_PROTOCOL } from "./plan-repairs.ts";
import { type MadeDevice, NOTHING_MADE, type ReportedDevice, type WantedDevice } from "./state.ts";

/** Rounds of reading and repairing; the next look continues when the device still differs. */
const ROUNDS = 3;
const HOST_BITS = 32;
const RTPROT_KERNEL = 2;

export interface Look {
  /** What others had done and is undone. */
  readonly repaired: readonly Fault[];
  /** What others have done and is left until repairs are allowed again. */
  readonly held: readonly Fault[];
  /** What the kernel refuses: "cannot change link 7: busy". */
  readonly failures: readonly string[];
  /** Peers that packets do not get to over the device. */
  readonly refused: readonly RefusedPeer[];
}

export interface LookOptions {
  /** False: changes by other programs are left, those this node wants are made. */
  readonly mayRepair: boolean;
}

export class DeviceKeeper {
  readonly #session: NetlinkSession;
  #interfaceIndex: number;
  #made: MadeDevice;

  /** @param mtuBytes of the device as it was made */
  constructor(session: NetlinkSession, interfaceIndex: number, mtuBytes: number) {
    this.#session = session;
    this.#interfaceIndex = interfaceIndex;
    this.#made = { ...NOTHING_MADE, mtuBytes };
  }

  get interfaceIndex(): number {
    return this.#interfaceIndex;
  }

  /** The device has been made again. */
  remade(interfaceIndex: number, mtuBytes: number): void {
    this.#interfaceIndex = interfaceIndex;
    this.#made = { ...NOTHING_MADE, mtuBytes };
  }

  get isThere(): boolean {
    return findLink(this.#session, this.#interfaceIndex) !== null;
  }

  /** null: the device is gone. Throws NetlinkError for what nothing can be done without. */
  look(wanted: WantedDevice, { mayRepair }: LookOptions): Look | null {
    const pass = new RepairPass(this.#session, this.#interfaceIndex, wanted, this.#made, mayRepair);
    if (!pass.run()) return null;
    this.#made = pass.made;
    return pass.result;
  }
}

class RepairPass {
  readonly #repaired = new Map<string, Fault>();
  readonly #held = new Map<string, Fault>();
  readonly #failures = new Set<string>();
  /** By overlay address: why the peer has no route. */
  readonly #blocked = new Map<string, string>();
  #isSubnetTried = false;

  constructor(
    readonly session: NetlinkSession,
    readonly interfaceIndex: number,
    readonly wanted: WantedDevice,
    readonly before: MadeDevice,
    readonly mayRepair: boolean,
  ) {}

  /** False: the device is gone. */
  run(): boolean {
    for (let round = 0; round < ROUNDS; round++) {
      const reported = readDevice(this.session, this.interfaceIndex, this.wanted.frames !== null);
      if (reported === null) return false;
      const repairs = planRepairs(this.wanted, reported, this.before).filter(
        (repair) => !this.#isSkipped(repair),
      );
      for (const repair of repairs) this.#attempt(repair);
      if (repairs.length === 0) break;
    }
    return true;
  }

  get made(): MadeDevice {
    const { peers, mtuBytes, frames } = this.wanted;
    const reached = peers.filter(({ overlayAddress }) => !this.#blocked.has(overlayAddress));
    const filter = frames?.filter ?? null;
    return { mtuBytes, filter, peers: new Map(reached.map((peer) => [peer.overlayAddress, peer])) };
  }

  get result(): Look {
    const blocked = this.wanted.peers.flatMap(({ name, overlayAddress }) => {
      const reason = this.#blocked.get(overlayAddress);
      return reason === undefined ? [] : { name, reason };
    });
    const others = this.wanted.peers.filter(({ overlayAddress }) => !this.#blocked.has(overlayAddress));
    const detours = findDetours(this.session, this.interfaceIndex, this.wanted.address, others);
    return {
      repaired: [...this.#repaired.values()],
      held: [...this.#held.values()],
      failures: [...this.#failures],
      refused: [...blocked, ...detours],
    };
  }

  /** Not to be tried in this pass, or not again. */
  #isSkipped(repair: Repair): boolean {
    if (repair.do === "add-subnet-route" && this.#isSubnetTried) return true;
    if (repair.do === "add-route" && this.#blocked.has(repair.peer.overlayAddress)) return true;
    if (this.mayRepair || repair.fault === null || repair.fault.kind === "protection") return false;
    this.#held.set(repair.fault.text, repair.fault);
    return true;
  }

  /** An operation that the kernel refuses is reported; the others are done. */
  #attempt(repair: Repair): void {
    try {
      if (this.#perform(repair) && repair.fault !== null) this.#repaired.set(repair.fault.text, repair.fault);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      this.#failures.add(error.message);
    }
  }

  /** False: another program's route is in the way. */
  #perform(repair: Repair): boolean {
    const { session, interfaceIndex } = this;
    switch (repair.do) {
      case "change-link":
        setLink(session, interfaceIndex, repair.change);
        return true;
      case "set-filter":
        setIngressFilter(session, interfaceIndex, repair.program);
        return true;
      case "add-address":
        addAddress(session, { interfaceIndex, address: repair.address, prefixLength: repair.prefixLength });
        return true;
      case "remove-address":
        removeAddress(session, repair.address);
        return true;
      case "set-forwarding": {
        const { macAddress, underlayAddress: destination, port } = repair.peer;
        replaceForwarding(session, { interfaceIndex, macAddress, destination, port });
        return true;
      }
      case "remove-forwarding":
        removeForwarding(session, { interfaceIndex, macAddress: repair.macAddress });
        return true;
      case "set-neighbour": {
        const { overlayAddress: address, macAddress } = repair.peer;
        replaceNeighbour(session, { interfaceIndex, address, macAddress });
        return true;
      }
      case "remove-neighbour":
        removeNeighbour(session, { interfaceIndex, address: repair.address });
        return true;
      case "add-route":
        return this.#addRoute(repair.peer);
      case "replace-route":
        replaceRoute(session, this.#routeTo(repair.peer), ROUTE_PROTOCOL);
        return true;
      case "remove-route":
        removeRoute(session, repair.route);
        return true;
      case "add-subnet-route":
        return this.#addSubnetRoute(repair);
    }
  }

  /** False: the subnet is in use, which is reported when the driver is opened next. */
  #addSubnetRoute({ destination, prefixLength }: { destination: string; prefixLength: number }): boolean {
    const { interfaceIndex, wanted } = this;
    const route = { destination, prefixLength, interfaceIndex, preferredSource: wanted.address };
    this.#isSubnetTried = true;
    return this.#add(route, RTPROT_KERNEL);
  }

  #addRoute(peer: PeerEntry): boolean {
    const isAdded = this.#add(this.#routeTo(peer), ROUTE_PROTOCOL);
    if (!isAdded)
      this.#blocked.set(peer.overlayAddress, nameRouteInTheWay(this.session, peer.overlayAddress));
    return isAdded;
  }

  /** False: there is one already. */
  #add(route: Route, protocol: number): boolean {
    try {
      addRoute(this.session, route, protocol);
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.errnoValue === EEXIST) return false;
      throw error;
    }
  }

  #routeTo({ overlayAddress: destination, mtuBytes }: PeerEntry): Route {
    const { interfaceIndex, wanted } = this;
    return {
      destination,
      prefixLength: HOST_BITS,
      interfaceIndex,
      preferredSource: wanted.address,
      mtuBytes,
    };
  }
}

/** null: it is gone. */
function readDevice(
  session: NetlinkSession,
  interfaceIndex: number,
  hasFrames: boolean,
): ReportedDevice | null {
  const link = findLink(session, interfaceIndex);
  if (link === null) return null;
  return {
    link,
    addresses: listAddresses(session, interfaceIndex),
    routes: listRoutes(session, AF_INET, interfaceIndex),
    neighbours: hasFrames ? listNeighbours(session, interfaceIndex) : [],
    forwarding: hasFrames ? listForwarding(session, interfaceIndex) : [],
    filter: hasFrames ? readIngressFilter(session, interfaceIndex) : null,
  };
}
