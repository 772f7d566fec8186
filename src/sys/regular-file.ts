/**
 * Opens the files that portmesh reads and writes: regular files only, never more than the caller's limit, never
 * waiting. A FIFO, a device, a directory or a socket in the place of a file is refused.
 *
 * The kind is checked before opening, because opening some devices has an effect (a watchdog starts), and once more
 * on the descriptor, because the path may have changed in between; O_NONBLOCK keeps that open from waiting for the
 * other end of a FIFO.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";

/** Users may link their configuration; a link in the place of one of portmesh's own files is refused. */
export type Links = "follow" | "refuse";

export interface ReadLimits {
  readonly maxBytes: number;
  readonly links: Links;
}

export interface FileContents {
  readonly bytes: Buffer;
  /** As of the open descriptor. */
  readonly stat: Stats;
}

/** Not an error of the system: the path is there, but not a file to read. */
class UnfitFileError extends Error {
  override readonly name = "UnfitFileError";

  constructor(
    readonly code: "not-regular" | "too-large",
    message: string,
  ) {
    super(message);
  }
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
const READ_CHUNK_BYTES = 64 * 1024;

/** Throws UnfitFileError, or what the system says. */
export function readRegularFile(path: string, { maxBytes, links }: ReadLimits): FileContents {
  requireRegular(links === "follow" ? statSync(path) : lstatSync(path));
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | (links === "follow" ? 0 : O_NOFOLLOW));
  try {
    const stat = fstatSync(fd);
    requireRegular(stat);
    if (stat.size > maxBytes) throw tooLarge(`${stat.size} bytes`, maxBytes);
    return { bytes: readAll(fd, stat.size, maxBytes), stat };
  } finally {
    closeSync(fd);
  }
}

/**
 * A descriptor of a new, empty file, readable by its owner only. A file, link or pipe in its place is removed first:
 * the target of a link, or another name of the same file, is not touched. Throws what the system says.
 */
export function createRegularFile(path: string): number {
  rmSync(path, { force: true }); // not recursive: a directory stays
  return openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
}

/** Who may read the file besides its owner; a group that this process belongs to was meant to. */
export function readersOf({ mode, gid }: Stats): "owner" | "group" | "everyone" {
  if ((mode & 0o004) !== 0) return "everyone";
  const isOwnGroup = gid === process.getegid!() || process.getgroups!().includes(gid);
  return (mode & 0o040) !== 0 && !isOwnGroup ? "group" : "owner";
}

/** The size is a hint: files of /proc have none, and others grow while they are read. */
function readAll(fd: number, sizeHint: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.max(READ_CHUNK_BYTES, sizeHint + 1 - total));
    const count = readSync(fd, chunk, 0, chunk.length, null);
    if (count === 0) return Buffer.concat(chunks, total);
    total += count;
    if (total > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`, maxBytes);
    chunks.push(chunk.subarray(0, count));
  }
}

function requireRegular(stat: Stats): void {
  if (!stat.isFile()) throw new UnfitFileError("not-regular", `it is ${kindOf(stat)}, not a regular file`);
}

function tooLarge(size: string, maxBytes: number): UnfitFileError {
  return new UnfitFileError("too-large", `${size}: at most ${maxBytes} are allowed`);
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return "a directory";
  if (stat.isSymbolicLink()) return "a symbolic link";
  if (stat.isFIFO()) return "a pipe";
  if (stat.isSocket()) return "a socket";
  return "a device";
}
