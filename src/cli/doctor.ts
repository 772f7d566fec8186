/** `portmesh doctor`: what is wrong between the nodes, and what to do about it. */
import type { Command } from "commander";
import type { NodeStatus } from "../node/index.ts";
import { askNode } from "./admin-client.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./find-node.ts";
import { EXIT_FAILED, type Invocation } from "./invocation.ts";

const HELP = `
Looks at the way between this node and the others: gossip, relay, overlay. Exit code 1 when something fails.

Examples:
  portmesh doctor
  portmesh doctor --json | jq '.[] | select(.level != "pass")'`;

export function addDoctor(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("doctor"))
    .summary("find what is wrong between the nodes")
    .description("Checks the way to the other nodes, and says what to do about what is wrong.")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions & { json?: boolean }) => {
      const socket = await findSocket(options, invocation.env);
      const { body } = await askNode(socket, "GET", "/v1/status");
      const { diagnose } = await import("./diagnose.ts");
      const findings = diagnose(body as NodeStatus);
      if (findings.some(({ level }) => level === "fail")) invocation.exitCode = EXIT_FAILED;
      if (options.json) return invocation.print(`${JSON.stringify(findings, null, 2)}\n`);
      const { renderFindings } = await import("./render-findings.ts");
      invocation.print(renderFindings(findings));
    });
}
