/**
 * How the process's limit of open files is divided.
 *
 *   limit
 *     reserve        admin socket, state, log, configuration, lookups, and what a worker opens before it looks
 *     gossip         connections from other nodes and strangers to the gossip port, and as many to other nodes
 *     fixed          listening sockets; of each peer a heartbeat, and per worker a UDP relay and a warm connection
 *     workers        the rest, evenly: each divides its part further (table/descriptor-shares.ts)
 *
 * Nothing that a stranger can open is taken from the reserve, so the admin socket answers whatever happens on the ports.
 */

const MAX_RESERVE = 256;
const LEAST_RESERVE = 64;
const RESERVE_SHARE = 4;
/** As memberlist serves at once. */
const MAX_GOSSIP_CONNECTIONS = 128;
/** Of each direction. */
const GOSSIP_SHARE = 32;
/** Of what is neither reserve nor between nodes: at least so much is left to clients. */
const CLIENT_SHARE = 4;
/** Share of all descriptors that may be pipes. */
const PIPE_SHARE = 8;

/** What is open whatever clients do. */
export interface FixedDescriptors {
  readonly listeners: number;
  readonly peers: number;
}

/** @param limit of open files of the process */
export class DescriptorBudget {
  readonly #reserve: number;

  constructor(
    readonly limit: number,
    readonly workers: number,
    readonly hasGossip: boolean,
  ) {
    this.#reserve = Math.min(MAX_RESERVE, Math.max(LEAST_RESERVE, Math.floor(limit / RESERVE_SHARE)));
  }

  /**
   * A descriptor with this number or a higher one means that the reserve is being used up, whatever the accounts say:
   * the lowest free number is handed out.
   */
  get scarceAtFd(): number {
    return this.limit - Math.floor(this.#reserve / 2);
  }

  get maxPipesPerWorker(): number {
    return Math.floor(this.limit / PIPE_SHARE / 2 / this.workers);
  }

  /** What listening sockets may take, whatever is published: a share stays for clients. */
  forListeners(peers: number): number {
    const forBoth = this.limit - this.#reserve - this.#gossip - this.#toPeers(peers);
    return Math.max(0, Math.floor(forBoth * (1 - 1 / CLIENT_SHARE)));
  }

  /** What the clients of one worker may have open, and its pipes and relay connections. */
  perWorker({ listeners, peers }: FixedDescriptors): number {
    const fixed = listeners + this.#toPeers(peers);
    return Math.max(0, Math.floor((this.limit - this.#reserve - this.#gossip - fixed) / this.workers));
  }

  get #gossip(): number {
    return this.hasGossip ? 2 * gossipConnectionsWithin(this.limit) : 0;
  }

  #toPeers(peers: number): number {
    return peers * (1 + 2 * this.workers);
  }
}

/** Connections from the gossip port to others that may be open at once, and as many from others. */
export function gossipConnectionsWithin(limit: number): number {
  return Math.max(4, Math.min(MAX_GOSSIP_CONNECTIONS, Math.floor(limit / GOSSIP_SHARE)));
}
