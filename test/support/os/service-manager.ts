/** Stands in for systemd: receives notifications on a socket of AF_UNIX. */
import { Arena, scratch } from "../../../src/sys/arena.ts";
import { libc } from "../../../src/sys/libc.ts";
import { close, recv } from "../../../src/sys/socket.ts";
import { waitFor } from "../time/wait-for.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const MAX_BYTES = 65_536;
const memory = new Arena(MAX_BYTES);

export type Notice = Readonly<Record<string, string>>;

export class FakeServiceManager implements Disposable {
  readonly notices: Notice[] = [];
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
      const length = recv(this.#fd, memory.address(0), MAX_BYTES, 0);
      if (length < 0) return;
      this.#onMessage(new TextDecoder().decode(memory.bytes.slice(0, length)));
    }
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
  }

  #onMessage(text: string): void {
    this.notices.push(Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2))));
  }
}
