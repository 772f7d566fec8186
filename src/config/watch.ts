/**
 * Reports when the configuration file, or the file of keys that it names, has new contents and is no longer being
 * written, and when it has been missing or unreadable for some seconds.
 *
 * Polls instead of asking the kernel for events: that is the same for writes in place, editors that replace the
 * file, symlink swaps (Kubernetes moves `..data`), a file that is gone for a moment, and network file systems.
 * The rule is in ChangeDetector; watchConfig is the timer and the file around it.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { readConfigFile } from "./read-config.ts";

/** Short against a person's patience, long against the writes of one save, and little to do for a node that idles. */
const pollIntervalMs = 500;
/** About 3 s: an editor that removes the file and writes it again takes less. */
const patiencePolls = 6;

/** What a file holds, or why it cannot be read now; each is equal for what is equal. */
export type FileState = { readonly hash: string } | { readonly trouble: string };

export interface WatchedFile {
  /** Differs whenever the file may have changed; null while there is none. Never rejects. */
  signature(): Promise<string | null>;
  /** Reads the file. Never throws. */
  state(): FileState;
}

export interface WatchTimer {
  every(intervalMs: number, run: () => Promise<void>): { stop(): void };
}

export interface WatchOptions {
  /** Of all files that count now; another list is a change. */
  readonly paths: () => readonly string[];
  /** Not called after stop(). */
  readonly onChange: () => void;
  /** The last reload was refused: also contents that are known are reported, when they have been saved again. */
  readonly isRefused?: () => boolean;
  readonly read?: WatchedFile;
  readonly timer?: WatchTimer;
}

/** Changes since this call are reported, so call it before the file is read for use: nothing falls in between. */
export function watchConfig(options: WatchOptions): { stop(): void } {
  const { onChange, isRefused = () => false, read = filesAt(options.paths), timer = realTimer } = options;
  const detector = new ChangeDetector(read.state());
  let isStopped = false;
  let isPolling = false;
  const poll = async () => {
    const signature = await read.signature();
    if (isStopped || !detector.isStable(signature)) return;
    const state = read.state();
    if (detector.isNew(state) || ("hash" in state && isRefused())) onChange();
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

/** Signatures and states in, "has it changed" out; holds no file and no timer. */
class ChangeDetector {
  /** undefined: none has been seen yet. */
  #signature: string | null | undefined = undefined;
  #known: FileState;
  #isPending = false;
  #troubledPolls = 0;

  /** `known`: needs no report. */
  constructor(known: FileState) {
    this.#known = known;
  }

  /** True when the file should be read: a new signature, or none, has been seen twice running. */
  isStable(signature: string | null): boolean {
    if (signature !== this.#signature) {
      this.#signature = signature;
      this.#isPending = true;
      return false;
    }
    return this.#isPending;
  }

  /** True when this state has not been reported; what cannot be read is read again with every poll. */
  isNew(state: FileState): boolean {
    if ("trouble" in state) {
      if (++this.#troubledPolls < patiencePolls) return false;
    } else {
      this.#isPending = false;
      this.#troubledPolls = 0;
    }
    const isNew = !isEqual(state, this.#known);
    this.#known = state;
    return isNew;
  }
}

function isEqual(one: FileState, other: FileState): boolean {
  return "hash" in one
    ? "hash" in other && one.hash === other.hash
    : "trouble" in other && one.trouble === other.trouble;
}

/** Several as one; the state is the trouble of the first that has any. */
function filesAt(paths: () => readonly string[]): WatchedFile {
  const files = () => paths().map((path) => ({ path, ...fileAt(path) }));
  return {
    async signature() {
      const signatures = await Promise.all(
        files().map(async ({ path, signature }) => [path, await signature()] as const),
      );
      return signatures.some(([, signature]) => signature === null) ? null : JSON.stringify(signatures);
    },
    state() {
      const states = files().map(({ state }) => state());
      const trouble = states.find((state) => "trouble" in state);
      return trouble ?? { hash: JSON.stringify(states) };
    },
  };
}

/**
 * Device and inode show replaced files and moved links, times and size show writes in place: one call for all.
 * The change time cannot be set back, unlike the modification time, which `rsync --inplace -t` does.
 */
function fileAt(path: string): WatchedFile {
  return {
    async signature() {
      try {
        const { dev, ino, mtimeNs, ctimeNs, size } = await stat(path, { bigint: true });
        return [dev, ino, mtimeNs, ctimeNs, size].join(" ");
      } catch {
        return null;
      }
    },
    state() {
      try {
        return { hash: createHash("sha256").update(readConfigFile(path).bytes).digest("base64") };
      } catch (error) {
        return { trouble: (error as Error).message };
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
