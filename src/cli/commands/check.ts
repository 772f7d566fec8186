/** `portmesh check`: every problem of a configuration file. Needs no node and changes nothing. */
import type { Command } from "commander";
import { EXIT_WRONG, type Invocation } from "../invocation.ts";
import { CONFIG_HELP, CONFIG_OPTION, findConfigFile } from "./config-file.ts";
import { formatProblems, INPUT, readFor } from "./load-config.ts";

const HELP = `
Prints every problem with its line and key. Exit code 0 when the file is valid, 2 when it is not.
--json prints a list of {file, line, column, key, value, message}; [] when the file is valid.
Warnings (such as cluster.keys readable by other users) go to standard error and do not change the exit code.

Examples:
  portmesh check -c portmesh.toml && portmesh reload
  portmesh check -c - < portmesh.toml              # standard input, TOML or JSON
  portmesh check -c portmesh.toml --json | jq -r '.[].message'`;

export function addCheck(program: Command, invocation: Invocation): void {
  program
    .command("check")
    .summary("validate a configuration file")
    .description("Validates a configuration file; changes nothing and needs no running node.")
    .option(CONFIG_OPTION, CONFIG_HELP)
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async ({ config: named, json: isJson }: { config?: string; json?: boolean }) => {
      const file = findConfigFile(named, invocation.env);
      const { checkConfig } = await import("../../node/config-check.ts");
      const result = await readFor(file, { check: checkConfig, environment: invocation.env });
      const problems = "problems" in result ? result.problems : [];
      if (problems.length > 0) invocation.exitCode = EXIT_WRONG;
      for (const warning of result.warnings ?? []) invocation.complain(`warning: ${warning}\n`);
      if (isJson) invocation.print(`${JSON.stringify(problems, null, 2)}\n`);
      else if (problems.length === 0) invocation.print(`${file === INPUT ? "standard input" : file}: ok\n`);
      else invocation.complain(`${await formatProblems(problems)}\n`);
    });
}
