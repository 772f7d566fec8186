/**
 * `portmesh health` without the rest of the program: it runs every few seconds as a container's health check, and loading
 * the command line takes several times longer than asking the node. Only what needs no parser is answered here:
 * --socket, $PORTMESH_SOCKET, the standard places, and a file that names the socket in the usual way or not at all.
 */
import { readFileSync } from "node:fs";
import { askReady } from "../sys/ask-ready.ts";
import { standardSockets, thisUser } from "../sys/standard-paths.ts";
import { escapeControls } from "../sys/terminal-text.ts";

const READY = 0;
const NOT_READY = 1;
/** What may move the socket. Escapes could spell the keys in other ways, and long strings could hold such lines. */
const MAY_MOVE_SOCKET = /socket|data_dir|\\|"""|'''/;
const TABLE = /^\s*\[([^\]]*)\]/;
/** `socket = "/run/portmesh.sock"   # a comment`; a "$" may begin a variable */
const PATH_SETTING = /^\s*(socket|data_dir)\s*=\s*"([^"\\$]+)"\s*(?:#.*)?$/;
const TABLE_OF: Readonly<Record<string, string>> = { socket: "admin", data_dir: "node" };

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
  const [option, value] = args;
  const isSocket = option === "--socket";
  const isFile = option === "-c" || option === "--config";
  if (args.length > 0 && !(args.length === 2 && (isSocket || isFile))) return null;
  if (isSocket) return [value!];
  if (env.PORTMESH_SOCKET) return [env.PORTMESH_SOCKET];
  const file = isFile ? value : env.PORTMESH_CONFIG;
  return file ? socketsOf(file, env) : standardSockets(null, thisUser(env));
}

function socketsOf(file: string, env: Env): readonly string[] | null {
  try {
    const places = placesIn(readFileSync(file, "utf8"));
    if (places === null) return null;
    const { socket, data_dir: dataDir = null } = places;
    return socket === undefined ? standardSockets(dataDir, thisUser(env)) : [socket];
  } catch {
    return null;
  }
}

/** null: a parser is needed. */
function placesIn(text: string): Readonly<Record<string, string>> | null {
  const places: Record<string, string> = {};
  let table = "";
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*#/.test(line)) continue;
    table = TABLE.exec(line)?.[1] ?? table;
    if (!MAY_MOVE_SOCKET.test(line)) continue;
    const [, key, path] = PATH_SETTING.exec(line) ?? [];
    if (key === undefined || TABLE_OF[key] !== table || key in places || !path!.startsWith("/")) return null;
    places[key] = path!;
  }
  return places;
}
