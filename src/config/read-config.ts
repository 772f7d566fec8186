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
      if (stat.isDirectory()) return refuse(path, "is a directory: name the file in it");
      if (stat.size > maxFileBytes) {
        return refuse(path, `${stat.size} bytes are too many: at most ${maxFileBytes} are read`);
      }
      bytes = readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return refuse(path, `cannot read the file: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
  return parseBytes(bytes, path);
}

function parseBytes(bytes: Buffer, path: string): ConfigResult {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const lines = new TextDecoder().decode(bytes).split("\uFFFD", 1).join("").split("\n");
    const column = (lines.at(-1)?.length ?? 0) + 1;
    return refuse(path, "is not valid UTF-8: save it as UTF-8", lines.length, column);
  }
  return parseConfig(text, path);
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
