/** `portmesh config`: the configuration as portmesh understands it, every default filled in. */
import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { CONFIG_HELP, CONFIG_OPTION, findConfigFile } from "./config-file.ts";
import { loadFile } from "./load-config.ts";

const HELP = `
The output is a valid configuration file as soon as what is shown as *** is filled in again: cluster.keys, and
the values of environment variables that are called like a secret (key, password, token, …).

Examples:
  portmesh config -c portmesh.toml
  portmesh config -c portmesh.toml --json | jq .services[0].udp`;

export function addConfig(program: Command, invocation: Invocation): void {
  program
    .command("config")
    .summary("print the effective configuration")
    .description("Prints the effective configuration: the file with every default filled in.")
    .option(CONFIG_OPTION, CONFIG_HELP)
    .option("--json", "print JSON instead of TOML")
    .addHelpText("after", HELP)
    .action(async ({ config: named, json: isJson }: { config?: string; json?: boolean }) => {
      const file = findConfigFile(named, invocation.env);
      const { config, secrets } = await loadFile(file, { environment: invocation.env });
      const { effectiveConfig } = await import("../../config/index.ts");
      const effective = effectiveConfig(config, secrets) as Record<string, unknown>;
      const { stringify } = await import("smol-toml");
      const text = isJson ? JSON.stringify(effective, null, 2) : stringify(effective).trimEnd();
      invocation.print(`${text}\n`);
    });
}
