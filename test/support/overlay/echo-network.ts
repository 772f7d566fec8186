/** Echo exchanges of several nodes, in virtual time, with a network between them that carries packets up to a size. */
import { EchoExchange } from "../../../src/overlay/path/echo-exchange.ts";
import type { EchoPeerEnd } from "../../../src/overlay/path/echo-peer.ts";
import type { DatagramFate } from "../../../src/sys/datagram-socket.ts";
import { seededRandom } from "../random/seeded-random.ts";
import { ManualClock } from "../time/manual-clock.ts";

export const ECHO_PORT = 4791;
const DEVICE_MTU = 1450;
const HEADERS_BYTES = 28;
const ONE_WAY_MS = 2;

export interface CarriedDatagram {
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
}

export class EchoNetwork {
  readonly clock = new ManualClock();
  /** Inner MTU between any two nodes. */
  mtu = DEVICE_MTU;
  readonly carried: CarriedDatagram[] = [];
  /** "n1: n2 1450" */
  readonly changes: string[] = [];
  readonly #exchanges = new Map<string, EchoExchange>();

  /** @param name "n3" has 10.200.0.3 */
  add(name: string): EchoExchange {
    const address = addressOf(name);
    const exchange = new EchoExchange({
      address,
      deviceMtu: DEVICE_MTU,
      run: new Uint8Array(8).fill(this.#exchanges.size + 1),
      clock: this.clock,
      random: seededRandom(this.#exchanges.size),
      send: (bytes, host) => this.#carry(address, host, bytes),
      onChange: (peer, mtu) => this.changes.push(`${name}: ${peer} ${mtu}`),
    });
    this.#exchanges.set(address, exchange);
    return exchange;
  }

  /** Puts a datagram into the network that nobody sent. */
  inject({ from, to, bytes }: CarriedDatagram, port = ECHO_PORT): void {
    this.#exchanges.get(to)?.onDatagram({ bytes, host: from, port });
  }

  #carry(from: string, to: string, bytes: Uint8Array): DatagramFate {
    if (bytes.length + HEADERS_BYTES > DEVICE_MTU) return "too-big";
    const datagram = { from, to, bytes: bytes.slice() };
    this.carried.push(datagram);
    if (bytes.length + HEADERS_BYTES <= this.mtu) {
      this.clock.after(ONE_WAY_MS, () => this.inject(datagram));
    }
    return "sent";
  }
}

export function addressOf(name: string): string {
  return `10.200.0.${name.slice(1)}`;
}

export function endOf(name: string, secrets: readonly string[] | null): EchoPeerEnd {
  return {
    name,
    overlayAddress: addressOf(name),
    underlayAddress: `192.0.2.${name.slice(1)}`,
    echoPort: ECHO_PORT,
    overheadBytes: 50,
    secrets,
  };
}
