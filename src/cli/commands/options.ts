/** Options that several commands share. */
import type { Command } from "commander";
import type { Config, ConfigPlaces } from "../../config/index.ts";
import { standardSockets, thisUser } from "../../sys/standard-paths.ts";
import { findAnswering, noSuchNode } from "../client/answering-socket.ts";
import type { Invocation } from "../invocation.ts";
import { isThere, namedFile, STANDARD_FILES } from "./config-file.ts";
import { configOf, readFor } from "./load-config.ts";

export interface NodeOptions {
  readonly socket?: string;
  readonly config?: string;
}

export function withNodeOptions(command: Command): Command {
  return command
    .option("--socket <path>", "admin socket of the node (default: $PORTMESH_SOCKET)")
    .option("-c, --config <file>", "configuration file of the node (default: $PORTMESH_CONFIG)");
}

/** Where a node is when no option and no file says so; tests pass their own. */
interface StandardPlaces {
  readonly files: readonly string[];
  sockets(dataDir: string | null): readonly string[];
}

/**
 * The admin socket: --socket, else $PORTMESH_SOCKET, else that of the file of -c or $PORTMESH_CONFIG, else the first
 * standard one that answers, else that of the standard file.
 */
export async function findSocket(
  options: NodeOptions,
  env: Invocation["env"],
  standard: StandardPlaces = {
    files: STANDARD_FILES,
    sockets: (dataDir) => standardSockets(dataDir, thisUser(env)),
  },
): Promise<string> {
  const named = options.socket ?? env.PORTMESH_SOCKET;
  if (named) return named;
  const file = namedFile(options.config, env);
  if (file !== undefined) return pickSocket(await socketsOfFile(file, env, standard));
  const paths = standard.sockets(null);
  const found = await findAnswering(paths);
  if ("path" in found) return found.path;
  const standardFile = standard.files.find(isThere);
  const inFile =
    standardFile === undefined ? [] : await socketsOfFile(standardFile, env, standard).catch(() => []);
  return pickSocket([...new Set([...inFile, ...paths])]);
}

/** Throws CommandFailure when the file is wrong in the part that matters. */
async function socketsOfFile(
  file: string,
  environment: Invocation["env"],
  standard: StandardPlaces,
): Promise<readonly string[]> {
  const result = await readFor(file, { environment });
  const places = "problems" in result ? result.places : placesOf(await configOf(result));
  const { socket, dataDir } = places ?? placesOf(await configOf(result));
  return socket === null ? standard.sockets(dataDir) : [socket];
}

function placesOf({ admin, node }: Config): ConfigPlaces {
  return { socket: admin.socket, dataDir: node.dataDir };
}

/** One that is named needs no probe: the request says what is wrong with it. */
async function pickSocket(paths: readonly string[]): Promise<string> {
  const [only] = paths;
  if (only !== undefined && paths.length === 1) return only;
  const found = await findAnswering(paths);
  if ("path" in found) return found.path;
  throw noSuchNode(found.failures);
}

/** Argument parser of an option that may be given several times. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
