/**
 * Pipes for splicing, reused last-in first-out so that the hottest one stays in cache.
 *
 * Invariant: a pipe in the pool is empty. A pipe is out of the pool only while bytes are in flight through it.
 */
import type { PipeEnds } from "../../../sys/pipe.ts";
import { type TcpSockets, tcpSockets } from "../../../sys/tcp-sockets.ts";
import type { DescriptorShare } from "../../table/descriptor-shares.ts";

/** Room for one long splice; an ordinary user gets less once `pipe-user-pages-soft` is reached. */
export const PIPE_BYTES = 512 * 1024;
/** Enough for the turns of a busy loop; surplus pipes are closed. */
const MAX_IDLE = 16;
const PIPE_DESCRIPTORS = 2;

export class PipePool {
  readonly #idle: PipeEnds[] = [];
  #opened = 0;

  /** Connections over `maxOpen` or the share copy instead of splicing. */
  constructor(
    readonly maxOpen: number,
    readonly share: Pick<DescriptorShare, "hasRoom" | "add" | "remove">,
    readonly sockets: Pick<TcpSockets, "openPipe" | "close"> = tcpSockets,
  ) {}

  /** null when the limit is reached or descriptors have run out. */
  take(): PipeEnds | null {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#opened >= this.maxOpen || !this.share.hasRoom(PIPE_DESCRIPTORS)) return null;
    const pipe = this.sockets.openPipe(PIPE_BYTES);
    if (pipe === null) return null;
    this.#opened++;
    this.share.add(PIPE_DESCRIPTORS);
    return pipe;
  }

  giveBack(pipe: PipeEnds): void {
    if (this.#idle.length < MAX_IDLE) this.#idle.push(pipe);
    else this.discard(pipe);
  }

  /** For a pipe that still holds bytes. */
  discard(pipe: PipeEnds): void {
    this.sockets.close(pipe.readFd);
    this.sockets.close(pipe.writeFd);
    this.#opened--;
    this.share.remove(PIPE_DESCRIPTORS);
  }
}
