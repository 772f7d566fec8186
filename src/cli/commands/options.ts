/** Options that several commands share. */
import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { configOf } from "./load-config.ts";

const DEFAULT_SOCKET = "/run/portmesh/portmesh.sock";

export interface NodeOptions {
  readonly socket?: string;
  readonly config?: string;
}

export function withNodeOptions(command: Command): Command {
  return command
    .option("--socket <path>", "admin socket of the node (default: $PORTMESH_SOCKET)")
    .option("-c, --config <file>", "configuration file that sets admin.socket");
}

/** The admin socket: --socket, else $PORTMESH_SOCKET, else the one in the file of -c, else the default. */
export async function findSocket(options: NodeOptions, env: Invocation["env"]): Promise<string> {
  const named = options.socket ?? env.PORTMESH_SOCKET;
  if (named) return named;
  if (options.config === undefined) return DEFAULT_SOCKET;
  const { readConfig } = await import("../../config/index.ts");
  const result = readConfig(options.config);
  if ("problems" in result && result.socket !== undefined) return result.socket;
  return (await configOf(result)).admin.socket;
}

/** Argument parser of an option that may be given several times. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
