/** `portmesh run`: the node, in the foreground. */
import type { Command } from "commander";
import { widenThreadPool } from "../../sys/thread-pool.ts";
import { readBuildInfo } from "../build-info.ts";
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

export function addRun(program: Command, invocation: Invocation): void {
  program
    .command("run")
    .summary("run the node in the foreground")
    .description("Runs the node in the foreground until it is stopped.")
    .option(CONFIG_OPTION, CONFIG_HELP)
    .addHelpText("after", HELP)
    .action(async ({ config: named }: { config?: string }) => {
      invocation.isDaemon = true;
      const file = findConfigFile(named, invocation.env);
      if (file === INPUT) throw new CommandFailure(NEEDS_FILE, EXIT_WRONG);
      widenThreadPool();
      const { checkConfig } = await import("../../node/config-check.ts");
      const { config, warnings: fileWarnings = [] } = await loadFile(file, {
        check: checkConfig,
        environment: invocation.env,
      });
      const { startOrExplain } = await import("./start-or-explain.ts");
      invocation.exitCode = await startOrExplain({ file, config, fileWarnings, version: readBuildInfo() });
    });
}
