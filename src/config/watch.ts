/**
 * Tells when the configuration file has other contents than before and nobody is writing it any more.
 *
 * Polls instead of asking the kernel for events: that is the same for writes in place, editors that replace the
 * file, symlink swaps (Kubernetes moves `..data`), a file that is gone for a moment, and network file systems.
 * The rule is in ChangeDetector; watchConfig is the timer and the file around it.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { stat } from "node:fs/promises";

/** Short against a person's patience, long against the writes of one save, and little to do for a node that idles. */
const pollIntervalMs = 500;

export interface WatchedFile {
  /** Differs whenever the file may have changed; null while there is none. Never rejects. */
  signature(): Promise<string | null>;
  /** Equal for equal contents; null when they cannot be read now. */
  contentHash(): string | null;
}

export interface WatchTimer {
  every(intervalMs: number, run: () => Promise<void>): { stop(): void };
}

export interface WatchOptions {
  readonly path: string;
  /** Not called any more once stop() has been. */
  readonly onChange: () => void;
  readonly read?: WatchedFile;
  readonly timer?: WatchTimer;
}

/** Changes since this call are reported, so call it before the file is read for use: nothing falls in between. */
export function watchConfig(options: WatchOptions): { stop(): void } {
  const { onChange, read = fileAt(options.path), timer = realTimer } = options;
  const detector = new ChangeDetector(read.contentHash());
  let isStopped = false;
  let isPolling = false;
  const poll = async () => {
    const signature = await read.signature();
    if (!isStopped && detector.isSettled(signature) && detector.isNew(read.contentHash())) onChange();
  };
  const polling = timer.every(pollIntervalMs, async () => {
    if (isPolling) return; // a network file system may hang longer than the interval
    isPolling = true;
    await poll().finally(() => {
      isPolling = false;
    });
  });
  return {
    stop() {
      isStopped = true;
      polling.stop();
    },
  };
}

/** Signatures and hashes in, "has it changed" out; holds no file and no timer. */
export class ChangeDetector {
  #signature: string | null = null;
  #hash: string | null;
  #isPending = false;

  /** `knownHash`: of the contents that need no report; null when there are none. */
  constructor(knownHash: string | null) {
    this.#hash = knownHash;
  }

  /** True when the contents should be looked at: a new signature has been seen twice running. */
  isSettled(signature: string | null): boolean {
    if (signature !== this.#signature) {
      this.#signature = signature;
      this.#isPending = true;
      return false;
    }
    return this.#isPending && signature !== null;
  }

  /** True when these contents have not been reported; unreadable ones (null) are asked for again. */
  isNew(hash: string | null): boolean {
    if (hash === null) return false;
    this.#isPending = false;
    const isNew = hash !== this.#hash;
    this.#hash = hash;
    return isNew;
  }
}

/** Device and inode tell replaced files and moved links, time and size tell writes in place: one call for all. */
function fileAt(path: string): WatchedFile {
  return {
    async signature() {
      try {
        const { dev, ino, mtimeNs, size } = await stat(path, { bigint: true });
        return [dev, ino, mtimeNs, size].join(" ");
      } catch {
        return null;
      }
    },
    contentHash() {
      try {
        return createHash("sha256").update(readFileSync(path)).digest("base64");
      } catch {
        return null;
      }
    },
  };
}

const realTimer: WatchTimer = {
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    return { stop: () => clearInterval(timer) };
  },
};
