/**
 * This node's address while it runs: DHCP replaces it, an interface goes, the default route moves. Looked at twice a
 * second. Without node.advertise and with a wildcard in cluster.bind the node follows; otherwise the operator has to.
 *
 * The next address is the first one of the default route's interface, else of the interface that had the old one: an
 * address of a container bridge or of the overlay must never be announced. Nothing is done at the first sight of it:
 * addresses and routes come and go while an interface is set up.
 */
import type { ClusterConfig, NodeConfig } from "../../config/index.ts";
import type { Clock } from "../../sys/clock.ts";
import { defaultAddress, type Family } from "../../sys/default-address.ts";
import type { LocalAddress } from "../../sys/local-addresses.ts";
import { isWildcard } from "../../wire/index.ts";

const POLL_MS = 500;
/** So many looks in a row must find it gone. */
const GONE_LOOKS = 2;
/** The default route is looked for so rarely while the address is there: it may stand in a large table. */
const ROUTE_LOOKS = 4;

export type AddressChange =
  | { readonly kind: "moved"; readonly before: string; readonly address: string }
  /** `problem` says what to do. */
  | { readonly kind: "lost"; readonly address: string; readonly problem: string }
  | { readonly kind: "back"; readonly address: string };

export interface AddressWatchOptions {
  readonly node: Pick<NodeConfig, "advertise">;
  readonly cluster: Pick<ClusterConfig, "bind">;
  /** Announced now. */
  readonly address: string;
  /** Of this machine, those that work. */
  readonly readAddresses: () => readonly LocalAddress[];
  readonly readDefaultRouteInterface: (family: Family) => string | null;
  readonly clock: Clock;
  readonly onChange: (change: AddressChange) => void;
}

export class AddressWatch {
  readonly #options: AddressWatchOptions;
  #address: string;
  /** That has or had the address; null: none ever had it, which is so behind NAT. */
  #interface: string | null;
  #looks = 0;
  #goneLooks = 0;
  #isLost = false;
  /** Where the default route led at the last look; null: to the interface that has the address. */
  #elsewhere: string | null = null;
  #cancel: () => void = () => undefined;

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#address = options.address;
    this.#interface = interfaceOf(options.readAddresses(), options.address);
  }

  start(): void {
    this.#cancel = this.#options.clock.after(POLL_MS, () => {
      this.start();
      this.#look();
    });
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    this.#looks++;
    const addresses = this.#options.readAddresses();
    const here = interfaceOf(addresses, this.#address);
    if (here !== null) return this.#onHere(addresses, here);
    this.#goneLooks++;
    if (this.#interface === null || this.#goneLooks < GONE_LOOKS) return;
    const next = this.#isFollowing ? this.#nextAddress(addresses, this.#interface) : null;
    if (next !== null) this.#moveTo(next, addresses);
    else if (!this.#isLost) this.#notify({ kind: "lost", address: this.#address, problem: this.#problem() });
  }

  #onHere(addresses: readonly LocalAddress[], here: string): void {
    this.#goneLooks = 0;
    this.#interface = here;
    if (this.#isLost) this.#notify({ kind: "back", address: this.#address });
    if (!this.#isFollowing || this.#looks % ROUTE_LOOKS !== 0) return;
    const next = this.#nextAddress(addresses, here);
    const elsewhere = next === null || interfaceOf(addresses, next) === here ? null : next;
    if (elsewhere !== null && elsewhere === this.#elsewhere) this.#moveTo(elsewhere, addresses);
    else this.#elsewhere = elsewhere;
  }

  get #isFollowing(): boolean {
    const { node, cluster } = this.#options;
    return node.advertise === null && isWildcard(cluster.bind.host);
  }

  #nextAddress(addresses: readonly LocalAddress[], before: string): string | null {
    const family = this.#options.cluster.bind.host === "::" ? 6 : 4;
    const route = this.#options.readDefaultRouteInterface(family);
    const firstOf = (name: string | null) =>
      defaultAddress(
        family,
        name,
        addresses.filter((entry) => entry.interface === name),
      );
    return firstOf(route) ?? firstOf(before);
  }

  #moveTo(address: string, addresses: readonly LocalAddress[]): void {
    const before = this.#address;
    this.#address = address;
    this.#interface = interfaceOf(addresses, address);
    this.#goneLooks = 0;
    this.#elsewhere = null;
    this.#notify({ kind: "moved", before, address });
  }

  #notify(change: AddressChange): void {
    this.#isLost = change.kind === "lost";
    this.#options.onChange(change);
  }

  #problem(): string {
    const { node } = this.#options;
    const gone = `${this.#address} is no longer an address of this machine: other nodes cannot reach this one`;
    if (node.advertise !== null) return `${gone}; assign it again, or change or remove node.advertise`;
    if (!this.#isFollowing)
      return `${gone}; assign it again, or set cluster.bind to a wildcard or another address`;
    return `${gone} until the default route's interface or ${this.#interface} has an address`;
  }
}

function interfaceOf(addresses: readonly LocalAddress[], address: string): string | null {
  return addresses.find((entry) => entry.address === address)?.interface ?? null;
}
