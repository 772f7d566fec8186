/** Which configuration file a command is about: -c FILE, else PORTMESH_CONFIG, else the one in /etc/portmesh. */
import { lstatSync } from "node:fs";
import { CommandFailure, EXIT_WRONG, type Invocation } from "../invocation.ts";

export const STANDARD_FILES: readonly string[] = [
  "/etc/portmesh/portmesh.toml",
  "/etc/portmesh/portmesh.json",
];
export const CONFIG_OPTION = "-c, --config <file>";
export const CONFIG_HELP =
  "configuration file, TOML or JSON (default: $PORTMESH_CONFIG, else /etc/portmesh/portmesh.toml, else portmesh.json there)";

/** Throws CommandFailure when none is named and none is there. */
export function findConfigFile(
  named: string | undefined,
  env: Invocation["env"],
  standard: readonly string[] = STANDARD_FILES,
): string {
  const file = namedFile(named, env) ?? standard.find(isThere);
  if (file !== undefined) return file;
  const message = `no configuration file: PORTMESH_CONFIG is not set, and there is no ${standard.join(" and no ")}`;
  throw new CommandFailure(`${message}: name a file with -c FILE, or create one of these`, EXIT_WRONG);
}

/** As the caller names it; undefined: not at all. */
export function namedFile(named: string | undefined, env: Invocation["env"]): string | undefined {
  return named ?? (env.PORTMESH_CONFIG || undefined);
}

/** What is there but cannot be read must not be passed over: the next file may be another node's. */
export function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}
