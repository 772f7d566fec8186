/** `portmesh version`: which program this is; what to put into a bug report. */
import type { Command } from "commander";
import { cLibraryName } from "../../sys/c-library.ts";
import { formatBuildInfo, readBuildInfo, readTarget } from "../build-info.ts";
import { CommandFailure, type Invocation } from "../invocation.ts";

const HELP = `
Examples:
  portmesh version
  portmesh version --json | jq -r .version
  portmesh version --licenses | less`;

/** The compiler puts it into the executable: build/executable.ts. */
const LICENSES_FILE = "THIRD-PARTY-LICENSES.txt";

interface Options {
  readonly json?: boolean;
  readonly licenses?: boolean;
}

export function addVersion(program: Command, invocation: Invocation): void {
  program
    .command("version")
    .summary("print version and build")
    .description("Prints version, commit, architecture, C library and runtime.")
    .option("--json", "machine-readable output")
    .option("--licenses", "the licenses of portmesh and of everything in the executable")
    .addHelpText("after", HELP)
    .action(async ({ json: isJson, licenses: wantsLicenses }: Options) => {
      if (wantsLicenses) invocation.print(await readLicenses());
      else if (isJson) invocation.print(`${JSON.stringify(about(), null, 2)}\n`);
      else invocation.print(`${describe()}\n`);
    });
}

function about() {
  const platform = `${process.platform}-${process.arch}`;
  return {
    ...readBuildInfo(),
    target: readTarget(),
    platform,
    architecture: process.arch,
    cLibrary: cLibraryName(),
    bun: Bun.version,
  };
}

/** "portmesh 0.1.0 (56255bb) linux-x64-baseline, glibc 2.36, bun 1.4.5" */
function describe(): string {
  const { target, platform, cLibrary, bun } = about();
  return `portmesh ${formatBuildInfo(readBuildInfo())} ${target ?? platform}, ${cLibrary}, bun ${bun}`;
}

async function readLicenses(): Promise<string> {
  const file = Bun.embeddedFiles.find((blob) => "name" in blob && blob.name === LICENSES_FILE);
  if (file === undefined) throw new CommandFailure("the licenses are part of the executable: npm run build");
  return await file.text();
}
