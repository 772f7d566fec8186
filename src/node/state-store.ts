/**
 * The state that survives a restart, in one file of data_dir. Written soon after a change and at the end; a write error is
 * logged once, and each change tries again. A damaged file is set aside, never a reason not to start.
 */
import { join } from "node:path";
import type { CatalogState } from "../catalog/index.ts";
import type { Clock } from "../sys/clock.ts";
import { DirectoryLock } from "../sys/directory-lock.ts";
import { makeStateDirectory, readStateFile, setAside, writeStateFile } from "../sys/state-file.ts";
import { NodeError } from "./node-error.ts";

const FILE_NAME = "state";
/** A burst of changes is written once. */
const WRITE_AFTER_MS = 500;

export interface StateStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** What is to be written, asked for when it is. */
  readonly snapshot: () => string;
  /** null: it works again. */
  readonly onError: (error: string | null) => void;
}

export class StateStore {
  readonly #options: StateStoreOptions;
  readonly #path: string;
  #cancel: (() => void) | null = null;
  #error: string | null = null;
  #followed: { readonly kept: CatalogState; readonly revision: number } | null = null;
  /** null: not locked, where nothing can be kept. */
  #lock: DirectoryLock | null = null;

  constructor(options: StateStoreOptions) {
    this.#options = options;
    this.#path = join(options.directory, FILE_NAME);
  }

  get path(): string {
    return this.#path;
  }

  /** That no other process uses; null: there is none. */
  get lockedDirectory(): string | null {
    return this.#lock === null ? null : this.#options.directory;
  }

  /** Why it could not be written last; null: it could. */
  get error(): string | null {
    return this.#error;
  }

  /** Throws NodeError when another process keeps its state here. */
  lock(): void {
    const { directory } = this.#options;
    try {
      makeStateDirectory(directory);
      const lock = DirectoryLock.take(directory);
      if (lock instanceof DirectoryLock) this.#lock = lock;
      else throw inUse(directory, lock.pid);
    } catch (error) {
      if (error instanceof NodeError) throw error;
      this.#fail("lock", error); // nothing can be kept here at all, or the file system has no locks
    }
  }

  /** null: no file, or an unreadable one, which is logged and set aside, out of the way of the next write. */
  read(): string | null {
    try {
      return readStateFile(this.#path);
    } catch (error) {
      this.#fail("read", error);
      this.setAside();
      return null;
    }
  }

  /** Its content makes no sense. Returns where it is now. */
  setAside(): string {
    try {
      return setAside(this.#path);
    } catch {
      return this.#path; // the next write replaces it
    }
  }

  /** Written soon when it is not what it was: the catalog of this revision, and what is kept with it. */
  follow(kept: CatalogState, revision: number): void {
    if (Bun.deepEquals({ kept, revision }, this.#followed)) return;
    this.#followed = { kept, revision };
    this.#cancel ??= this.#options.clock.after(WRITE_AFTER_MS, () => this.write());
  }

  write(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.writeText(this.#options.snapshot());
  }

  /** Returns why it cannot be written, or null; the file is as it was then. */
  writeText(text: string): string | null {
    try {
      this.#keepLock();
      writeStateFile(this.#path, text);
      if (this.#error !== null) this.#options.onError(null);
      this.#error = null;
    } catch (error) {
      this.#fail("write", error);
    }
    return this.#error;
  }

  /** Writes what waits to be written. */
  close(): void {
    if (this.#cancel !== null) this.write();
    this.#lock?.release();
    this.#lock = null;
  }

  /** A directory that was removed is made again by the next write: it must be this node's then. */
  #keepLock(): void {
    if (this.#lock === null || this.#lock.isInPlace) return;
    const { directory } = this.#options;
    makeStateDirectory(directory);
    const lock = DirectoryLock.take(directory);
    if (!(lock instanceof DirectoryLock)) throw inUse(directory, lock.pid);
    this.#lock.release();
    this.#lock = lock;
  }

  #fail(verb: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `cannot ${verb} ${this.#path}: ${reason}`;
    if (message !== this.#error) this.#options.onError(message);
    this.#error = message;
  }
}

function inUse(directory: string, pid: number | null): NodeError {
  const holder = pid === null ? "another node" : `the node with process id ${pid}`;
  return new NodeError(
    "data-dir-in-use",
    `cannot use ${directory}: ${holder} keeps its state there; set node.data_dir to another directory`,
  );
}
