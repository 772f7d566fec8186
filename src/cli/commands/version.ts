/** `portmesh version`: which program this is; what to put into a bug report. */
import type { Command } from "commander";
import { formatBuildInfo, readBuildInfo } from "../build-info.ts";
import type { Invocation } from "../invocation.ts";

const HELP = `
Examples:
  portmesh version
  portmesh version --json | jq -r .version`;

export function addVersion(program: Command, invocation: Invocation): void {
  program
    .command("version")
    .summary("print version and build")
    .description("Prints version, commit and platform.")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(({ json: isJson }: { json?: boolean }) => {
      const build = readBuildInfo();
      const platform = `${process.platform}-${process.arch}`;
      const about = { ...build, bun: Bun.version, platform };
      const text = `portmesh ${formatBuildInfo(build)} ${platform}, bun ${Bun.version}`;
      invocation.print(isJson ? `${JSON.stringify(about, null, 2)}\n` : `${text}\n`);
    });
}
