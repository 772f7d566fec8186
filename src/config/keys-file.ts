/**
 * cluster.keys_file: one key on each line, as `portmesh keygen` prints them. Blank lines and what follows a `#` do not
 * count. The order is that of cluster.keys: the first key encrypts, all decrypt.
 */
import { dirname, isAbsolute, resolve } from "node:path";
import { readRegularFile } from "../sys/regular-file.ts";
import type { Problem } from "./problem.ts";
import { whyUnreadable } from "./read-failure.ts";
import { warnOfReaders } from "./readers.ts";
import { clusterKey } from "./schema.ts";

/** A thousand keys. */
const MAX_BYTES = 64 * 1024;

export type KeysReading =
  /** `warnings`: other users can read it. */
  | { readonly keys: readonly string[]; readonly warnings: readonly string[] }
  /** What is wrong inside the file, at its own lines. */
  | { readonly problems: readonly Problem[] }
  /** It cannot be read at all: to be reported where the configuration names it. */
  | { readonly unreadable: string };

/**
 * Not normalized: messages find in it what is to be hidden, as it was written.
 *
 * @param config the file that names it: a relative path begins in its directory
 */
export function keysFilePath(config: string, path: string): string {
  return isAbsolute(path) ? path : `${resolve(dirname(config))}/${path}`;
}

export function readKeysFile(path: string): KeysReading {
  try {
    const { bytes, stat } = readRegularFile(path, { maxBytes: MAX_BYTES, links: "follow" });
    const keys = parseKeys(bytes.toString("utf8"), path);
    return "problems" in keys ? keys : { ...keys, warnings: warnOfReaders(path, stat) };
  } catch (error) {
    return { unreadable: `cannot read ${path}: ${whyUnreadable(error as Error, HINTS)}` };
  }
}

const HINTS = {
  missing: "write the output of `portmesh keygen` to it, or correct the path",
  unfit: "save the keys to a file, one on each line",
};

/** The text of a line is never quoted: it is meant to be a key. */
function parseKeys(
  text: string,
  file: string,
): { readonly keys: string[] } | { readonly problems: Problem[] } {
  const keys: string[] = [];
  const problems: Problem[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const entry = line.replace(/#.*/, "").trim();
    if (entry === "") continue;
    const result = clusterKey.safeParse(entry);
    if (result.success) keys.push(result.data);
    else {
      const [issue] = result.error.issues;
      problems.push({ file, line: index + 1, column: 1, key: "", value: "***", message: issue!.message });
    }
  }
  if (problems.length > 0) return { problems };
  if (keys.length > 0) return { keys };
  const message = "no key in it: write the output of `portmesh keygen` to it";
  return { problems: [{ file, line: 0, column: 0, key: "", value: undefined, message }] };
}
