/**
 * A small file that must survive: written beside itself, flushed and renamed, so that there is always the old or the
 * new one and never half of either, whatever dies when.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { createRegularFile, readRegularFile } from "./regular-file.ts";

/** Several times what the largest catalog takes. */
export const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** null: there is none. Throws UnfitFileError, or what the system says, when it cannot be read. */
export function readStateFile(path: string): string | null {
  try {
    return readRegularFile(path, { maxBytes: MAX_STATE_BYTES, links: "refuse" }).bytes.toString("utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** When it is not there, for its owner alone. */
export function makeStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** Makes the directory when it is not there. Throws; the old file is as it was then. */
export function writeStateFile(path: string, text: string): void {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_STATE_BYTES) {
    throw new Error(`${bytes.length} bytes of state: at most ${MAX_STATE_BYTES} are written`);
  }
  makeStateDirectory(dirname(path));
  const temporary = `${path}.new`;
  try {
    const fd = createRegularFile(temporary);
    try {
      writeWhole(fd, bytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Moved aside, not deleted: it can still be examined. */
export function setAside(path: string): string {
  const aside = `${path}.damaged`;
  renameSync(path, aside);
  return aside;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd); // the new name
  } finally {
    closeSync(fd);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // it was never there
  }
}
