/**
 * Sockets in the FD store of the service manager: they stay open while this process is replaced or has
 * crashed, and clients wait in their queues. What is in the store keeps its port, so a socket that is closed for good
 * is taken out of it. [systemd.service(5): FileDescriptorStoreMax=]
 */
import { encodeName } from "../sys/listen-fds.ts";
import type { NotifySocket } from "../sys/notify-socket.ts";
import type { Sockets } from "./socket-list.ts";

export class FdStore {
  #stored: ReadonlyMap<string, number>;
  #isKept = false;

  /** @param inherited keys of what is in the store already */
  constructor(
    readonly socket: Pick<NotifySocket, "send">,
    inherited: readonly string[],
  ) {
    this.#stored = new Map(inherited.map((key) => [key, -1]));
  }

  /** These are open now, and no others. */
  follow(sockets: Sockets): void {
    if (this.#isKept) return;
    const open = new Map(sockets);
    for (const [key, fd] of this.#stored) if (fd >= 0 && open.get(key) !== fd) this.#remove(key);
    for (const [key, fd] of open) if (this.#stored.get(key) !== fd) this.#add(key, fd);
    const waiting = [...this.#stored].filter(([key, fd]) => fd < 0 && !open.has(key));
    this.#stored = new Map([...waiting, ...open]);
  }

  /** The start is over: what it has not taken is not this node's any more. */
  removeRest(): void {
    for (const [key, fd] of this.#stored) if (fd < 0) this.#remove(key);
    this.#stored = new Map([...this.#stored].filter(([, fd]) => fd >= 0));
  }

  /** They stay for the next process: from now on they are not this one's to take out. */
  keep(): void {
    this.#isKept = true;
  }

  /** FDPOLL=0: an error that waits on a UDP socket is no reason to drop it. */
  #add(key: string, fd: number): void {
    const name = encodeName(key);
    if (name !== null) this.socket.send({ FDSTORE: 1, FDNAME: name, FDPOLL: 0 }, [fd]);
  }

  #remove(key: string): void {
    const name = encodeName(key);
    if (name !== null) this.socket.send({ FDSTOREREMOVE: 1, FDNAME: name });
  }
}
