/**
 * Where a node keeps its state and where commands reach it when its file names no place. The node and the commands use
 * the same lists: the node listens on the first socket path that it can create, commands ask the first that answers.
 *
 * The system's directories come first, so that a service finds them under any user; then the directories of the user
 * (XDG Base Directory Specification), and last data_dir, the one place that a container with a read-only root can
 * write to.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";

const SYSTEM_DATA_DIR = "/var/lib/portmesh";
const SYSTEM_SOCKET = "/run/portmesh/portmesh.sock";
const SOCKET_NAME = "portmesh.sock";

/** A user as the system sees it. */
export interface User {
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  exists(path: string): boolean;
  canWrite(path: string): boolean;
}

export function thisUser(env: User["env"] = process.env): User {
  return { uid: process.getuid?.() ?? 0, env, exists: existsSync, canWrite };
}

/** Root and users who may write to it: /var/lib/portmesh. Others: the directory for the state of programs in their home. */
export function standardDataDir(user: User = thisUser()): string {
  if (user.uid === 0 || user.canWrite(SYSTEM_DATA_DIR)) return SYSTEM_DATA_DIR;
  const { XDG_STATE_HOME: state, HOME: home } = user.env;
  if (isUsable(state)) return join(state, "portmesh");
  return isUsable(home) && user.exists(home) ? join(home, ".local/state/portmesh") : SYSTEM_DATA_DIR;
}

/** Socket paths, the preferred one first. @param dataDir of the node; null: the standard one */
export function standardSockets(dataDir: string | null, user: User = thisUser()): string[] {
  const { XDG_RUNTIME_DIR: runtime } = user.env;
  const ofUser = isUsable(runtime) ? runtime : `/run/user/${user.uid}`;
  return [
    SYSTEM_SOCKET,
    ...(user.uid === 0 ? [] : [join(ofUser, "portmesh", SOCKET_NAME)]),
    join(dataDir ?? standardDataDir(user), SOCKET_NAME),
  ];
}

/** Relative paths are to be ignored, says the specification; the home of many service users is "/". */
function isUsable(path: string | undefined): path is string {
  return path !== undefined && isAbsolute(path) && path !== "/";
}

function canWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
