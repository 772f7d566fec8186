/**
 * One process per directory: an advisory lock on a file in it, held until `release` or the end of the process, however
 * that ends. The file stays; it names the process that locked it last.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { EAGAIN, errno, errnoText } from "./errno.ts";
import { libc } from "./libc.ts";

/** flock(2) */
const LOCK_EX = 2;
const LOCK_NB = 4;
const FILE_NAME = "lock";
const MAX_PID_DIGITS = 10;
const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** Another process holds it. */
export interface Holder {
  /** null: it has not written it yet. */
  readonly pid: number | null;
}

export class DirectoryLock {
  #fd: number;

  private constructor(
    readonly directory: string,
    fd: number,
  ) {
    this.#fd = fd;
  }

  /** false: the directory, or the file in it, has been removed or replaced since. */
  get isInPlace(): boolean {
    const held = fstatSync(this.#fd);
    const there = statSync(join(this.directory, FILE_NAME), { throwIfNoEntry: false });
    return there?.dev === held.dev && there.ino === held.ino;
  }

  /** Throws what the system says when the directory cannot be locked at all. */
  static take(directory: string): DirectoryLock | Holder {
    const fd = openSync(
      join(directory, FILE_NAME),
      O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
      0o600,
    );
    let isTaken = false;
    try {
      if (!fstatSync(fd).isFile()) throw new Error(`${FILE_NAME} is not a regular file`);
      if (libc.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
        const code = errno();
        if (code === EAGAIN) return { pid: readPid(fd) };
        throw new Error(`cannot lock ${join(directory, FILE_NAME)}: ${errnoText(code)}`);
      }
      isTaken = true;
      writePid(fd);
      return new DirectoryLock(directory, fd);
    } finally {
      if (!isTaken) closeSync(fd);
    }
  }

  release(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function readPid(fd: number): number | null {
  const bytes = Buffer.alloc(MAX_PID_DIGITS);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  const pid = Number.parseInt(bytes.toString("latin1", 0, length), 10);
  return Number.isInteger(pid) ? pid : null;
}

/** Tells the next node who holds the lock; the lock holds without it. */
function writePid(fd: number): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
  } catch {
    // a full disk
  }
}
