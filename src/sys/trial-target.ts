/** What trials of ports have in common: where to, and where from. */
import { scratch } from "./arena.ts";
import { AF_INET, AF_INET6, writeAnyAddress, writeSockaddr } from "./sockaddr.ts";
import { bind } from "./socket.ts";

/** Between two looks at a socket: a few dozen of them at once cost nothing. */
export const LOOK_MS = 10;

export interface TrialTarget {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
  /** Leaves from this address; null: any. */
  readonly localAddress: Uint8Array | null;
}

export function familyOf({ address }: TrialTarget): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** @param port 0: any. 0 or -errno. */
export function bindTo(fd: number, target: TrialTarget, port: number): number {
  const { localAddress } = target;
  if (localAddress === null && port === 0) return 0;
  const length =
    localAddress === null
      ? writeAnyAddress(scratch.bytes, 0, familyOf(target), port)
      : writeSockaddr(scratch.bytes, 0, localAddress, port);
  return bind(fd, scratch.address(0), length);
}
