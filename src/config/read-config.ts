/** A configuration file on disk -> Config or problems. A file that cannot be read is one problem that says what to do. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { type ConfigResult, parseConfig } from "./parse-config.ts";

/** A thousand services are about 200 KiB. */
export const maxFileBytes = 4 * 1024 * 1024;

export function readConfig(path: string): ConfigResult {
  let bytes: Buffer;
  try {
    const file = openSync(path, "r");
    try {
      const stat = fstatSync(file);
      // A pipe is fine (`-c <(template)`); a device may never end.
      if (!stat.isFile() && !stat.isFIFO()) return refuse(path, "not a file: name the configuration file");
      if (stat.size > maxFileBytes) return refuseSize(path, stat.size);
      bytes = readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return refuse(path, `cannot read the file: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
  return bytes.length > maxFileBytes ? refuseSize(path, bytes.length) : parseBytes(bytes, path);
}

function parseBytes(bytes: Buffer, path: string): ConfigResult {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const [readable = ""] = new TextDecoder().decode(bytes).split("\uFFFD", 1);
    const lines = readable.split("\n");
    return refuse(path, "not valid UTF-8: save the file as UTF-8", lines.length, lines.at(-1)!.length + 1);
  }
  return parseConfig(text, path);
}

function refuseSize(path: string, bytes: number): ConfigResult {
  return refuse(path, `${bytes} bytes are too many: a configuration has at most ${maxFileBytes}`);
}

function refuse(file: string, message: string, line = 0, column = 0): ConfigResult {
  return { problems: [{ file, line, column, key: "", value: undefined, message }] };
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "it does not exist: name another with -c FILE";
    case "EACCES":
    case "EPERM":
      return "permission denied: make it readable for the user portmesh runs as";
    default:
      return error.message;
  }
}
