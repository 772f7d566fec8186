/** `portmesh run`: the node, in the foreground. */
import type { Command } from "commander";
import type { Config } from "../../config/index.ts";
import type { Takeover } from "../../node/handover/takeover.ts";
import type { BuildInfo } from "../../node/index.ts";
import { standardSockets } from "../../sys/standard-paths.ts";
import { widenThreadPool } from "../../sys/thread-pool.ts";
import { readBuildInfo } from "../build-info.ts";
import { selfCommand } from "../demo/self-command.ts";
import { CommandFailure, EXIT_WRONG, type Invocation } from "../invocation.ts";
import { CONFIG_HELP, CONFIG_OPTION, findConfigFile } from "./config-file.ts";
import { INPUT, loadFile } from "./load-config.ts";

const HELP = `
Reload: save the file, send SIGHUP, or run \`portmesh reload\`. An invalid file changes nothing.
Stop: SIGTERM or Ctrl-C lets open connections finish (drain_timeout); a second one resets them.
Log: to standard output, pretty on a terminal and JSON lines otherwise (log.format).

Examples:
  portmesh run                                        # /etc/portmesh/portmesh.toml, else portmesh.json there
  portmesh run -c portmesh.toml
  setcap cap_net_bind_service=+ep $(which portmesh)   # ports below 1024 without root`;

const NEEDS_FILE =
  "cannot run from standard input: the node reads its configuration again when it reloads; save it to a file";

interface RunOptions {
  readonly config?: string;
  /** true: the socket of the file. */
  readonly takeOver?: string | true;
}

export function addRun(program: Command, invocation: Invocation): void {
  program
    .command("run")
    .summary("run the node in the foreground")
    .description("Runs the node in the foreground until it is stopped.")
    .option(CONFIG_OPTION, CONFIG_HELP)
    .option(
      "--take-over [socket]",
      "continue for the process that runs this node now; SOCKET: its admin socket",
    )
    .addHelpText("after", HELP)
    .action(async (options: RunOptions) => {
      invocation.isDaemon = true;
      try {
        await run(options, invocation);
      } catch (error) {
        if (typeof options.takeOver === "string" && error instanceof Error) {
          const { reportFailure } = await import("../client/ask-predecessor.ts");
          await reportFailure(options.takeOver, error.message);
        }
        throw error;
      }
    });
}

async function run({ config: named, takeOver: wanted }: RunOptions, invocation: Invocation): Promise<void> {
  const file = findConfigFile(named, invocation.env);
  if (file === INPUT) throw new CommandFailure(NEEDS_FILE, EXIT_WRONG);
  widenThreadPool();
  const { checkConfig } = await import("../../node/config-check.ts");
  const { config, warnings: fileWarnings = [] } = await loadFile(file, {
    check: checkConfig,
    environment: invocation.env,
  });
  const version = readBuildInfo();
  const takeover =
    wanted === undefined ? null : await takeOverFrom(socketsOf(config, wanted), config, version);
  const command = { program: selfCommand(), args: process.argv.slice(2) };
  const { startOrExplain } = await import("./start-or-explain.ts");
  invocation.exitCode = await startOrExplain({ file, config, fileWarnings, version, takeover, command });
}

async function takeOverFrom(
  sockets: readonly string[],
  config: Config,
  { version }: BuildInfo,
): Promise<Takeover | null> {
  const { takeOver } = await import("../client/ask-predecessor.ts");
  return takeOver(sockets, config, version);
}

function socketsOf({ admin, node }: Config, wanted: string | true): readonly string[] {
  if (wanted !== true) return [wanted];
  return admin.socket === null ? standardSockets(node.dataDir) : [admin.socket];
}
