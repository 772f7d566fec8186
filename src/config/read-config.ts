/** A configuration file on disk -> Config or problems. A file that cannot be read is one problem that says what to do. */
import { type FileContents, readRegularFile } from "../sys/regular-file.ts";
import { type ConfigResult, parseConfig, refuseFile } from "./parse-config.ts";

/** A thousand services are about 200 KiB. */
export const maxFileBytes = 4 * 1024 * 1024;

/** What the file holds. Throws UnfitFileError, or what the system says. */
export function readConfigFile(path: string): FileContents {
  return readRegularFile(path, { maxBytes: maxFileBytes, links: "follow" });
}

export function readConfig(path: string): ConfigResult {
  try {
    return parseBytes(readConfigFile(path).bytes, path);
  } catch (error) {
    return refuseFile(path, `cannot read the file: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
}

function parseBytes(bytes: Buffer, path: string): ConfigResult {
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
  return parseConfig(text, path);
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "it does not exist: restore it, or name another with -c FILE";
    case "EACCES":
    case "EPERM":
      return "permission denied: make it readable for the user portmesh runs as";
    case "not-regular":
      return `${error.message}: save the configuration in a file`;
    case "ELOOP":
      return "its symbolic links lead in a circle";
    default:
      return error.message;
  }
}
