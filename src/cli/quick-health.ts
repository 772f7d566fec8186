/**
 * `portmesh health` without the rest of the program: it runs every few seconds as a container's health check, and loading
 * the command line takes several times longer than asking the node. Only what needs no parser is answered here:
 * --socket, $PORTMESH_SOCKET, and the standard places.
 */
import { readFileSync } from "node:fs";
import { askReady } from "../sys/ask-ready.ts";
import { standardSockets, thisUser } from "../sys/standard-paths.ts";
import { escapeControls } from "../sys/terminal-text.ts";

const READY = 0;
const NOT_READY = 1;
/** Keys that move the socket; escapes could spell them in other ways. */
const MAY_MOVE_SOCKET = /socket|data_dir|\\/;

type Env = Readonly<Record<string, string | undefined>>;

/** The exit code; null: the whole program is needed, for another option, for the file's settings or for its errors. */
export async function quickHealth(args: readonly string[], env: Env): Promise<number | null> {
  const sockets = socketsToAsk(args, env);
  if (sockets === null) return null;
  for (const socket of sockets) {
    const readiness = await askReady(socket);
    if (readiness.isReady) return READY;
    if (!readiness.isThere) continue;
    process.stderr.write(`not ready: ${escapeControls(readiness.reason)}\n`);
    return NOT_READY;
  }
  return null;
}

/** null: only the whole program can tell. */
export function socketsToAsk(args: readonly string[], env: Env): readonly string[] | null {
  const [option, path] = args;
  if (args.length === 2 && option === "--socket") return [path!];
  if (args.length > 0) return null;
  if (env.PORTMESH_SOCKET) return [env.PORTMESH_SOCKET];
  const file = env.PORTMESH_CONFIG;
  return file && maySetSocket(file) ? null : standardSockets(null, thisUser(env));
}

function maySetSocket(file: string): boolean {
  try {
    return MAY_MOVE_SOCKET.test(readFileSync(file, "utf8"));
  } catch {
    return true;
  }
}
