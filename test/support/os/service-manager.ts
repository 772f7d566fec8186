/**
 * Stands in for systemd: receives notifications on a socket of AF_UNIX, keeps descriptors as its FD store does, and
 * passes them to the next process as LISTEN_FDS.
 */
import { scratch } from "../../../src/sys/arena.ts";
import { receiveDescriptors } from "../../../src/sys/descriptor-passing.ts";
import { libc } from "../../../src/sys/libc.ts";
import { close } from "../../../src/sys/socket.ts";
import { waitFor } from "../time/wait-for.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const MAX_BYTES = 65_536;

export type Notice = Readonly<Record<string, string>>;

export class FakeServiceManager implements Disposable {
  readonly notices: Notice[] = [];
  /** The FD store. */
  readonly stored = new Map<string, number[]>();
  readonly #fd: number;

  /** @param address a path, or "@" and a name */
  constructor(readonly address: string) {
    this.#fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    const bytes = new TextEncoder().encode(address);
    scratch.bytes.fill(0, 0, 3 + bytes.length);
    scratch.view.setUint16(0, AF_UNIX, true);
    scratch.bytes.set(bytes, 2);
    if (address.startsWith("@")) scratch.bytes[2] = 0;
    const length = 2 + bytes.length + (address.startsWith("@") ? 0 : 1);
    if (libc.bind(this.#fd, scratch.address(0), length) !== 0) throw new Error(`cannot bind ${address}`);
  }

  /** Takes what has arrived. */
  receive(): void {
    for (;;) {
      const received = receiveDescriptors(this.#fd, MAX_BYTES);
      if (typeof received === "number") return;
      this.#onMessage(new TextDecoder().decode(received.bytes), received.fds);
    }
  }

  /** For a process that it starts: descriptors from 3 on, and the variables that name them. */
  get passed(): { readonly fds: number[]; readonly env: Record<string, string>; readonly wrapper: string[] } {
    this.receive();
    const all = [...this.stored].flatMap(([name, fds]) => fds.map((fd) => [name, fd] as const));
    return {
      fds: all.map(([, fd]) => fd),
      env: {
        NOTIFY_SOCKET: this.address,
        LISTEN_FDS: `${all.length}`,
        LISTEN_FDNAMES: all.map(([name]) => name).join(":"),
      },
      wrapper: ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
    };
  }

  async hears(what: string, test: (notice: Notice) => boolean): Promise<Notice> {
    let found: Notice | undefined;
    await waitFor(
      () => {
        this.receive();
        found = this.notices.find(test);
        return found !== undefined;
      },
      { what },
    );
    return found!;
  }

  count(test: (notice: Notice) => boolean): number {
    this.receive();
    return this.notices.filter(test).length;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
    for (const fds of this.stored.values()) fds.forEach(close);
    this.stored.clear();
  }

  #onMessage(text: string, fds: readonly number[]): void {
    const notice = Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
    this.notices.push(notice);
    const name = notice.FDNAME ?? "stored";
    if (notice.FDSTORE === "1") this.stored.set(name, [...(this.stored.get(name) ?? []), ...fds]);
    else fds.forEach(close);
    if (notice.FDSTOREREMOVE !== "1") return;
    this.stored.get(name)?.forEach(close);
    this.stored.delete(name);
  }
}
