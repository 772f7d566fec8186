/** `portmesh reload`: the running node applies its file, or reports what that would change. */
import type { Command } from "commander";
import type { ReloadReport } from "../../node/index.ts";
import { askNode } from "../client/admin-client.ts";
import { EXIT_FAILED, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const REFUSED = 422;
/** Names take 2 s at most, parsing the largest files two minutes on a busy machine. */
const TIMEOUT_MS = 150_000;
const HELP = `
The file is applied as a whole or not at all. Open connections continue under the old rules; unchanged
listeners are not touched. Exit code 1 when the file, or one of its services, is rejected.

Examples:
  portmesh reload --dry-run        # show what would change
  portmesh reload
  portmesh reload --json | jq .outcome`;

export function addReload(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("reload"))
    .summary("apply the configuration file")
    .description("Makes the running node apply its configuration file, and prints what changed.")
    .option("--dry-run", "only print what would change")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions & { dryRun?: boolean; json?: boolean }) => {
      const socket = await findSocket(options, invocation.env);
      const path = options.dryRun ? "/v1/reload?dry-run=1" : "/v1/reload";
      const { body } = await askNode(socket, "POST", path, { expected: [REFUSED], timeoutMs: TIMEOUT_MS });
      await show(body as ReloadReport, options.json === true, invocation);
    });
}

async function show(report: ReloadReport, isJson: boolean, invocation: Invocation): Promise<void> {
  const isRefused = report.outcome === "refused";
  if (isRefused || report.unpublished.length > 0) invocation.exitCode = EXIT_FAILED;
  if (isJson) return invocation.print(`${JSON.stringify(report, null, 2)}\n`);
  const { renderReload } = await import("../render/reload.ts");
  if (isRefused) invocation.complain(renderReload(report));
  else invocation.print(renderReload(report));
}
