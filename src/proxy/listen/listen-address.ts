/** Where the proxy listens. */
import type { Protocol } from "../../model/index.ts";
import { formatHostPort } from "../../wire/index.ts";

export interface ListenAddress {
  readonly protocol: Protocol;
  /** Literal IP. */
  readonly address: string;
  readonly port: number;
  /** At "::": IPv4 too. */
  readonly isDual?: true;
  /** The node itself has a socket there, the first of them all; at "::" it takes IPv4 too. Of the relay only. */
  readonly isBesideNode?: true;
}

/** "tcp [::]:8080" */
export function listenerKey({ protocol, address, port }: ListenAddress): string {
  return `${protocol} ${formatHostPort(address, port)}`;
}

/** "tcp:[::]:8080", without the number of the worker; "*" for both families on one socket. */
export function inheritedKey({ protocol, address, port, isDual }: ListenAddress, isRelay: boolean): string {
  const host = isDual === true ? `*:${port}` : formatHostPort(address, port);
  return `${isRelay ? "relay-" : ""}${protocol}:${host}`;
}

/** "tcp 8080" */
export function portKey({ protocol, port }: ListenAddress): string {
  return `${protocol} ${port}`;
}

export function cannotListen({ protocol, address, port }: ListenAddress, reason: string): string {
  return `cannot listen on ${formatHostPort(address, port)}/${protocol}: ${reason}`;
}
