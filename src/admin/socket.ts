/**
 * The admin socket as a file: private from its first moment, never taken from a running node, replaced when its
 * node is dead. Access to it is control of the node, so it is 0600 and a directory made for it is 0700; a directory
 * that was there before belongs to another program and stays as it is.
 */
import { existsSync, lstatSync, mkdirSync, renameSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { randomBytes } from "../sys/random.ts";

const MAX_PATH_BYTES = 107; // unix(7): sun_path has 108 bytes with the final NUL
const PROBE_MS = 1_000; // a node that accepts but is too busy to be asked again is alive
const OWNER_ONLY = 0o177;
const HINT = "set admin.socket to a path this user may create";
/** The longest there is: a request that reloads a very large file waits until it has been parsed. */
const ANSWER_LIMIT: object = { idleTimeout: 255 }; // seconds; Bun's types have it for TCP only, its servers for both

export interface AdminServer {
  /** Of the socket. */
  readonly path: string;
  /** Ends open requests and removes the socket. */
  close(): Promise<void>;
  /** false: another process has replaced the socket. */
  readonly isInPlace: boolean;
  /** From now on it is this path, of a socket that the caller's predecessor listens on: no client meets none. */
  moveTo(path: string): void;
  /** Takes the path back from a process that has replaced the socket. */
  restore(): Promise<void>;
}

export class AdminSocketError extends Error {
  override readonly name = "AdminSocketError";

  constructor(
    readonly code: "in-use" | "not-a-socket" | "cannot-create",
    message: string,
    options?: ErrorOptions,
    /** On which another node answers. */
    readonly path: string | null = null,
  ) {
    super(message, options);
  }

  /** Without the path and the hint. */
  get reason(): string {
    return this.cause === undefined ? this.message : reasonOf(this.cause);
  }
}

/**
 * On the first of `paths` that can be created. A socket that another node of this user answers on ends the search: two
 * nodes would be reached by one command. Throws AdminSocketError.
 */
export async function listenOnFirst(
  paths: readonly string[],
  handle: (request: Request) => Response | Promise<Response>,
): Promise<AdminServer> {
  const reasons: string[] = [];
  for (const path of paths) {
    try {
      return await listenOnSocket(path, handle);
    } catch (error) {
      if (!(error instanceof AdminSocketError) || error.code !== "cannot-create") throw error;
      reasons.push(`${path}: ${reasonOf(error.cause)}`);
    }
  }
  throw new AdminSocketError("cannot-create", `cannot listen for commands: ${reasons.join("; ")}: ${HINT}`);
}

/** Throws AdminSocketError. */
export async function listenOnSocket(
  path: string,
  handle: (request: Request) => Response | Promise<Response>,
): Promise<AdminServer> {
  try {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw new Error(`longer than ${MAX_PATH_BYTES} bytes`);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path);
    return serve(path, handle);
  } catch (error) {
    if (error instanceof AdminSocketError) throw error;
    const message = `cannot listen on ${path}: ${reasonOf(error)}: ${HINT}`;
    throw new AdminSocketError("cannot-create", message, { cause: error });
  }
}

/** In place of whatever is at `path`, which is the caller's to take. Throws AdminSocketError. */
export async function listenBeside(
  path: string,
  handle: (request: Request) => Response | Promise<Response>,
): Promise<AdminServer> {
  const server = await listenOnSocket(besideOf(path), handle);
  try {
    server.moveTo(path);
    return server;
  } catch (error) {
    await server.close();
    throw new AdminSocketError("cannot-create", `cannot listen on ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** A path in the same directory that no other process has: process ids repeat in containers that share it. */
export function besideOf(path: string): string {
  return join(dirname(path), `.${Buffer.from(randomBytes(4)).toString("hex")}.sock`);
}

async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isSocket()) {
    throw new AdminSocketError("not-a-socket", `cannot listen on ${path}: the path is a file, not a socket`);
  }
  if (await isAnswering(path)) {
    const message = `cannot listen on ${path}: another node uses this socket`;
    throw new AdminSocketError("in-use", message, undefined, path);
  }
  unlinkSync(path);
}

/** Only a refused connection proves that no program listens there. Rejects when this user may not ask. */
function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    const end = (isAlive: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(isAlive);
    };
    const timer = setTimeout(() => end(true), PROBE_MS);
    probe.on("connect", () => end(true));
    probe.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EACCES") reject(error);
      end(error.code !== "ECONNREFUSED");
    });
  });
}

function serve(path: string, handle: (request: Request) => Response | Promise<Response>): AdminServer {
  const umask = process.umask(OWNER_ONLY);
  try {
    return new SocketServer(path, handle);
  } finally {
    process.umask(umask);
  }
}

class SocketServer implements AdminServer {
  readonly #server: Bun.Server<undefined>;
  readonly #inode: number;
  #path: string;
  /** In place of this one, whose file is gone. */
  #next: AdminServer | null = null;

  constructor(
    path: string,
    readonly handle: (request: Request) => Response | Promise<Response>,
  ) {
    this.#server = Bun.serve({ unix: path, fetch: handle, ...ANSWER_LIMIT });
    this.#path = path;
    this.#inode = lstatSync(path).ino;
  }

  get path(): string {
    return this.#path;
  }

  get isInPlace(): boolean {
    return this.#next?.isInPlace ?? this.#isOwn();
  }

  /** The runtime removes the path that it was opened at. */
  readonly close = async (): Promise<void> => {
    const isMoved = this.#path !== this.#server.url.pathname;
    await this.#next?.close();
    await this.#server.stop(true);
    if (isMoved && this.#isOwn()) unlinkSync(this.#path);
  };

  moveTo(path: string): void {
    renameSync(this.#path, path);
    this.#path = path;
  }

  async restore(): Promise<void> {
    if (this.isInPlace) return;
    await this.#next?.close();
    this.#next = await listenBeside(this.#path, this.handle);
  }

  #isOwn(): boolean {
    return lstatSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode;
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  return message ?? String(error);
}
