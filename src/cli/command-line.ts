/** Builds the commands and turns the result of one into an exit code and at most one message. */
import { Command, CommanderError } from "commander";
import { readBuildInfo } from "./build-info.ts";
import { addCheck } from "./commands/check.ts";
import { addConfig } from "./commands/config.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEvents } from "./commands/events.ts";
import { addHealth } from "./commands/health.ts";
import { addKeygen } from "./commands/keygen.ts";
import { addNode } from "./commands/node.ts";
import { addReload } from "./commands/reload.ts";
import { addRun } from "./commands/run.ts";
import { addService } from "./commands/service/service.ts";
import { addStatus } from "./commands/status.ts";
import { addTask } from "./commands/task.ts";
import { addTrace } from "./commands/trace.ts";
import { addRestart, addUpgrade } from "./commands/upgrade.ts";
import { addVersion } from "./commands/version.ts";
import { addCompletion } from "./completion/completion.ts";
import { addDemo } from "./demo/demo.ts";
import {
  CommandFailure,
  EXIT_DONE,
  EXIT_FAILED,
  EXIT_WRONG,
  type Invocation,
  processInvocation,
} from "./invocation.ts";

const HELP = `
Start here:
  portmesh demo                    three nodes with tasks on this machine, to try things out
  portmesh check -c portmesh.toml  validate the configuration file
  portmesh run -c portmesh.toml    run the node; without -c with /etc/portmesh/portmesh.toml

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.`;

const COMMANDS: readonly ((program: Command, invocation: Invocation) => void)[] = [
  ...[addRun, addDemo, addCheck, addConfig, addReload, addUpgrade, addRestart, addStatus, addHealth],
  ...[addService, addTask, addNode, addTrace, addEvents, addDoctor],
  ...[addKeygen, addCompletion, addVersion],
];

export async function runCommandLine(
  argv: readonly string[],
  invocation: Invocation = processInvocation(),
): Promise<number> {
  try {
    await createProgram(invocation).parseAsync(argv, { from: "user" });
    return invocation.exitCode;
  } catch (error) {
    return explain(error, invocation);
  }
}

/** Also what the manual pages are made from. */
export function createProgram(invocation: Invocation): Command {
  const program = new Command("portmesh")
    .description("Publish a port once; every node forwards its connections to an available task.")
    .version(readBuildInfo().version, "-V, --version", "print the version number")
    .addHelpText("after", HELP)
    .exitOverride()
    .configureOutput({ writeOut: invocation.print, writeErr: invocation.complain });
  for (const add of COMMANDS) add(program, invocation);
  return program;
}

function explain(error: unknown, invocation: Invocation): number {
  if (error instanceof CommanderError) return error.exitCode === EXIT_DONE ? EXIT_DONE : EXIT_WRONG; // commander has printed it
  if (error instanceof CommandFailure) {
    invocation.complain(`${error.message}\n`);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  invocation.complain(`portmesh: unexpected error: ${text}\n`);
  return EXIT_FAILED;
}
