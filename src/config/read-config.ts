/**
 * A configuration file on disk, with the file of keys that it names -> Config or problems. A file that cannot be read is
 * one problem that says what to do.
 */
import { type FileContents, readRegularFile } from "../sys/regular-file.ts";
import { formatHostPort } from "../wire/index.ts";
import { readTlsFiles, readTokensFile } from "./admin-files.ts";
import type { Config } from "./config.ts";
import { readKeysFile } from "./keys-file.ts";
import {
  type ConfigCheck,
  type ConfigResult,
  parseConfig,
  refuseFile,
  type Surroundings,
} from "./parse-config.ts";
import { whyUnreadable } from "./read-failure.ts";
import { warnOfReaders } from "./readers.ts";
import { isLargeText, MAX_FILE_BYTES } from "./size-limits.ts";
import { isLoopback } from "./unreachable-address.ts";
import type { Environment } from "./variables.ts";

export type FileResult = ConfigResult & {
  /** What is allowed, but should be repaired; each with the fix. Absent: nothing. */
  readonly warnings?: readonly string[];
};

export interface ReadOptions {
  readonly check?: ConfigCheck;
  /** Default: that of this process. */
  readonly environment?: Environment;
}

/** The name of a text that is not in a file. */
export const STANDARD_INPUT = "standard input";

/** What the file holds. Throws UnfitFileError, or what the system says. */
export function readConfigFile(path: string): FileContents {
  return readRegularFile(path, { maxBytes: MAX_FILE_BYTES, links: "follow" });
}

export function readConfig(path: string, options: ReadOptions = {}): FileResult {
  let contents: FileContents;
  try {
    contents = readConfigFile(path);
  } catch (error) {
    return refuseFile(path, `cannot read the file: ${whyUnreadable(error as Error, HINTS)}`);
  }
  const result = readConfigText(contents.bytes, path, options);
  const holdsKeys = "config" in result && result.holdsKeys === true;
  return holdsKeys ? withWarnings(result, warnOfReaders(path, contents.stat)) : result;
}

const HINTS = {
  missing: "restore it, or name another with -c FILE",
  unfit: "save the configuration to a file",
};

/** @param name of the file, or what stands for it in messages */
export function readConfigText(bytes: Uint8Array, name: string, options: ReadOptions = {}): FileResult {
  const { check, environment = process.env } = options;
  const warnings: string[] = [];
  const surroundings: Surroundings = {
    environment,
    readKeys(path) {
      const reading = readKeysFile(path);
      if ("keys" in reading) warnings.push(...reading.warnings);
      return reading;
    },
    readTokens(path) {
      const reading = readTokensFile(path);
      if ("tokens" in reading) warnings.push(...reading.warnings);
      return reading;
    },
    readTls(certFile, keyFile) {
      const reading = readTlsFiles(certFile, keyFile);
      if ("tls" in reading) warnings.push(...reading.warnings);
      return reading;
    },
  };
  if (bytes.length > MAX_FILE_BYTES)
    return refuseFile(name, `longer than ${MAX_FILE_BYTES} bytes, which are allowed`);
  const text = decode(bytes);
  if (typeof text !== "string")
    return refuseFile(name, "not valid UTF-8: save the file as UTF-8", text.line, text.column);
  const result = parseConfig(text, name, check, surroundings);
  const clear = "config" in result ? warnOfClearTokens(result.config, name) : [];
  return withWarnings(result, [...warnings, ...clear]);
}

/** Who reads along has them from then on. */
function warnOfClearTokens({ admin: { http } }: Config, file: string): string[] {
  if (http === null || http.tls !== null || isLoopback(http.listen.host)) return [];
  const listen = formatHostPort(http.listen.host, http.listen.port);
  return [
    `${file}: admin.listen ${listen} is not encrypted: tokens can be read on the network: set admin.tls_cert and admin.tls_key`,
  ];
}

/** True when parsing the file takes a thread for long. False when it cannot be read. */
export function isLargeFile(path: string): boolean {
  try {
    return isLargeText(readConfigFile(path).bytes.toString("latin1"));
  } catch {
    return false;
  }
}

function withWarnings(result: FileResult, warnings: readonly string[]): FileResult {
  const all = [...(result.warnings ?? []), ...warnings];
  return all.length === 0 ? result : { ...result, warnings: all };
}

/** The text, or where it is not UTF-8. */
function decode(bytes: Uint8Array): string | { readonly line: number; readonly column: number } {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const [readable = ""] = new TextDecoder().decode(bytes).split("\uFFFD", 1);
    const lines = readable.split("\n");
    return { line: lines.length, column: lines.at(-1)!.length + 1 };
  }
}
