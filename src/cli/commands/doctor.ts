/** `portmesh doctor`: what is wrong between the nodes, and what to do about it. */
import type { Command } from "commander";
import type { NodeStatus, PeerPorts } from "../../node/index.ts";
import { askNode } from "../client/admin-client.ts";
import { EXIT_FAILED, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

/** Longer than the node takes for its tests, however many nodes there are. */
const TIMEOUT_MS = 30_000;

const HELP = `
Tests every port that the configuration needs between this node and each other node, in both directions, and
checks gossip, relays and the overlay. Takes a few seconds. Exit code 1 when a test fails.

Examples:
  portmesh doctor
  portmesh doctor --json | jq '.[] | select(.level != "pass")'`;

export function addDoctor(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("doctor"))
    .summary("find and explain problems between the nodes")
    .description("Tests the connections to the other nodes and says how to fix what fails.")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions & { json?: boolean }) => {
      const socket = await findSocket(options, invocation.env);
      const tested = await askNode(socket, "POST", "/v1/test-ports", {
        expected: [404],
        timeoutMs: TIMEOUT_MS,
      });
      const ports = tested.status === 404 ? null : (tested.body as PeerPorts[]);
      const { body } = await askNode(socket, "GET", "/v1/status");
      const { diagnose } = await import("../doctor/diagnose.ts");
      const findings = diagnose(body as NodeStatus, ports);
      if (findings.some(({ level }) => level === "fail")) invocation.exitCode = EXIT_FAILED;
      if (options.json) return invocation.print(`${JSON.stringify(findings, null, 2)}\n`);
      const { renderFindings } = await import("../doctor/finding.ts");
      invocation.print(renderFindings(findings));
    });
}
