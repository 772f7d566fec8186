/**
 * A client's connection after one peer has reset it, or its node is gone: the other peer gets all bytes that the broken
 * one had sent, then RST, so that it does not take a broken stream for a complete one.
 *
 *   Splicing ──▶ delivering ──all handed to the kernel──▶ lingering ──all left the kernel──▶ closed
 *                    │                                        │
 *                    └─peer broken too, or reads nothing──────┴─────────────────────────────▶ closed
 */
import { EPOLLERR, EPOLLOUT } from "../../sys/epoll.ts";
import { EPIPE } from "../../sys/errno.ts";
import type { Target } from "../table/target.ts";
import type { Client } from "./client.ts";
import { Established } from "./established.ts";
import { FLOW_DESTINATION_FAILED, FLOW_ENDED, FLOW_FULL, FLOW_MORE, type Flow } from "./flow/index.ts";

/** In steps of the linger deadline, five seconds: how long a peer may read none of the last bytes. */
const LINGER_STEPS = 250;

export class Closing extends Established {
  #isLingering = false;
  #lingerSteps = 0;
  /** In the kernel for the living peer, when last checked. */
  #unsentBytes = 0;
  /** The broken peer had sent FIN before it broke. */
  #isEndKnown = false;
  readonly usedMs: number;

  constructor(
    client: Client,
    target: Target,
    toTask: Flow,
    toClient: Flow,
    readonly reason: "task-reset" | "client-reset",
  ) {
    super(client, target, toTask, toClient);
    this.usedMs = client.usedMs;
  }

  /** @param dead leads to the broken peer @param last carries what that peer had sent */
  start(dead: Flow, last: Flow): void {
    const { client } = this;
    const { loop, stallDeadline } = client.context;
    client.phase = this;
    if (client.errno === 0) client.errno = dead.error || last.error;
    loop.handOver(dead.destinationFd, this);
    loop.handOver(last.destinationFd, this);
    // ECONNRESET is reported once: a read after it returns 0, as if FIN had arrived. EPIPE means that FIN had
    this.#isEndKnown = last.isEnded || (last.error === 0 && (dead.error === 0 || dead.error === EPIPE));
    dead.isEnded = true;
    dead.release();
    last.isReadable = true;
    last.onBroken(this.#isEndKnown);
    stallDeadline.arm(this, loop.nowMs);
    this.continue();
  }

  onEvents(fd: number, events: number): void {
    const last = this.#last;
    if (fd !== last.destinationFd) return;
    // EPOLLHUP alone means FIN both ways, after which the peer can still read
    if ((events & EPOLLERR) !== 0) return this.close(this.reason);
    if (this.#isLingering || (events & EPOLLOUT) === 0) return;
    const { loop, stallDeadline } = this.client.context;
    last.isFull = false;
    stallDeadline.arm(this, loop.nowMs);
    this.continue();
  }

  onDeadline(): void {
    const { loop, stallDeadline } = this.client.context;
    if (this.#isLingering) this.#linger();
    else if (this.#hasReadSome()) stallDeadline.arm(this, loop.nowMs);
    else this.close(this.reason);
  }

  protected continue(): void {
    if (this.#isLingering) return;
    const last = this.#last;
    switch (last.isEnded ? FLOW_ENDED : this.move(last)) {
      case FLOW_FULL:
        this.watchForRoom(last);
        this.#unsentBytes = this.#unsent();
        break;
      case FLOW_MORE:
        this.queue();
        break;
      case FLOW_DESTINATION_FAILED:
        this.close(this.reason);
        break;
      case FLOW_ENDED:
        // RST followed FIN: the stream is complete, and its reader gets both
        if (this.#isEndKnown) this.passEnd(last);
        this.#startLingering();
        break;
      default:
        this.#startLingering();
    }
  }

  /** To the living peer. */
  get #last(): Flow {
    return this.reason === "task-reset" ? this.toClient : this.toTask;
  }

  #startLingering(): void {
    this.#isLingering = true;
    this.#unsentBytes = this.#unsent();
    this.#linger();
  }

  /** RST makes the kernel drop unsent bytes, so it waits for them to leave. */
  #linger(): void {
    const { loop, lingerDeadline } = this.client.context;
    if (this.#hasReadSome()) this.#lingerSteps = 0;
    if (this.#unsentBytes === 0 || this.#lingerSteps++ === LINGER_STEPS) return this.close(this.reason);
    lingerDeadline.arm(this, loop.nowMs);
  }

  /** Whether the living peer has read a byte since the last check: a slow one gets the time it needs. */
  #hasReadSome(): boolean {
    const before = this.#unsentBytes;
    this.#unsentBytes = this.#unsent();
    return this.#unsentBytes < before;
  }

  #unsent(): number {
    return this.client.context.sockets.unsentBytes(this.#last.destinationFd);
  }
}
