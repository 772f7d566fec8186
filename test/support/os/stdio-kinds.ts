/** What standard output may be: blocking descriptors of every kind, with the reader's end in the hand of the test. */
import { dlopen } from "bun:ffi";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { Arena } from "../../../src/sys/arena.ts";
import { check, errno } from "../../../src/sys/errno.ts";
import { libc } from "../../../src/sys/libc.ts";

const { symbols: more } = dlopen("libc.so.6", {
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
});
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

class OutputPair implements Disposable {
  constructor(
    /** Blocking, as a shell hands it to a program. */
    readonly writeFd: number,
    readonly readFd: number,
  ) {}

  /** Everything that is there now. */
  read(): string {
    const flags = libc.fcntl(this.readFd, F_GETFL, 0);
    libc.fcntl(this.readFd, F_SETFL, flags | O_NONBLOCK);
    const parts: Buffer[] = [];
    const buffer = Buffer.alloc(65_536);
    try {
      for (let count = 1; count > 0; ) {
        count = readSync(this.readFd, buffer);
        parts.push(Buffer.from(buffer.subarray(0, count)));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
    return Buffer.concat(parts).toString();
  }

  get isWriteEndNonBlocking(): boolean {
    return (libc.fcntl(this.writeFd, F_GETFL, 0) & O_NONBLOCK) !== 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.writeFd);
    closeSync(this.readFd);
  }
}

export const outputKinds: Readonly<Record<"pipe" | "socket" | "terminal", () => OutputPair>> = {
  pipe() {
    const arena = new Arena(4096);
    check("pipe2", libc.pipe2(arena.address(0), constants.O_RDONLY) < 0 ? -errno() : 0);
    return new OutputPair(arena.int32[1]!, arena.int32[0]!);
  },
  socket() {
    const arena = new Arena(4096);
    const result = more.socketpair(AF_UNIX, SOCK_STREAM, 0, arena.address(0));
    check("socketpair", result < 0 ? -errno() : 0);
    return new OutputPair(arena.int32[1]!, arena.int32[0]!);
  },
  terminal() {
    const arena = new Arena(4096);
    const master = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
    check("TIOCSPTLCK", libc.ioctl(master, TIOCSPTLCK, arena.address(0)) < 0 ? -errno() : 0);
    check("TIOCGPTN", libc.ioctl(master, TIOCGPTN, arena.address(0)) < 0 ? -errno() : 0);
    const slave = openSync(`/dev/pts/${arena.int32[0]}`, constants.O_RDWR | constants.O_NOCTTY);
    return new OutputPair(slave, master);
  },
};
