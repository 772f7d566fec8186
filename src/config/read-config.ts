/** A configuration file on disk -> Config or problems. A file that cannot be read is one problem that says what to do. */
import { type FileContents, readersOf, readRegularFile } from "../sys/regular-file.ts";
import { type ConfigCheck, type ConfigResult, parseConfig, refuseFile } from "./parse-config.ts";
import { isLargeText, MAX_FILE_BYTES } from "./size-limits.ts";

export type FileResult = ConfigResult & {
  /** What is allowed, but should be repaired; each with the fix. Absent: nothing. */
  readonly warnings?: readonly string[];
};

/** What the file holds. Throws UnfitFileError, or what the system says. */
export function readConfigFile(path: string): FileContents {
  return readRegularFile(path, { maxBytes: MAX_FILE_BYTES, links: "follow" });
}

export function readConfig(path: string, check?: ConfigCheck): FileResult {
  try {
    const { bytes, stat } = readConfigFile(path);
    const result = parseBytes(bytes, path, check);
    const holdsKeys = "config" in result && (result.config.cluster?.keys ?? []).length > 0;
    const warning = holdsKeys ? warnOfReaders(path, readersOf(stat)) : null;
    return warning === null ? result : { ...result, warnings: [warning] };
  } catch (error) {
    return refuseFile(path, `cannot read the file: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
}

/** True when parsing the file takes a thread for long. False when it cannot be read. */
export function isLargeFile(path: string): boolean {
  try {
    return isLargeText(readConfigFile(path).bytes.toString("latin1"));
  } catch {
    return false;
  }
}

function warnOfReaders(path: string, readers: ReturnType<typeof readersOf>): string | null {
  if (readers === "owner") return null;
  const [who, mode] =
    readers === "everyone"
      ? ["every user of this machine", "o-r"]
      : ["a group that portmesh is not in", "g-r"];
  return `${path}: ${who} can read cluster.keys: chmod ${mode} ${quoteForShell(path)}`;
}

function quoteForShell(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function parseBytes(bytes: Buffer, path: string, check?: ConfigCheck): ConfigResult {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const [readable = ""] = new TextDecoder().decode(bytes).split("\uFFFD", 1);
    const lines = readable.split("\n");
    return refuseFile(
      path,
      "not valid UTF-8: save the file as UTF-8",
      lines.length,
      lines.at(-1)!.length + 1,
    );
  }
  return parseConfig(text, path, check);
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "it does not exist: restore it, or name another with -c FILE";
    case "EACCES":
    case "EPERM":
      return "permission denied: make it readable for the user portmesh runs as";
    case "not-regular":
      return `${error.message}: save the configuration to a file`;
    case "ELOOP":
      return "its symbolic links form a loop";
    default:
      return error.message;
  }
}
