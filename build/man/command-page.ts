/** portmesh(1), from the commands themselves: what --help prints, as a manual page. */
import type { Command } from "commander";
import { escapeLine, item, prose, quote, title } from "./roff.ts";

export interface PageOptions {
  /** YYYY-MM-DD */
  readonly date: string;
  readonly version: string;
}

export function commandPage(program: Command, { date, version }: PageOptions): string {
  const name = program.name();
  const summary = program.description().replace(/\.$/, "");
  const lines = [
    title(name.toUpperCase(), 1, date, `${name} ${version}`, "User Commands"),
    ".SH NAME",
    `${name} \\- ${escapeLine(summary.charAt(0).toLowerCase() + summary.slice(1))}`,
    ".SH SYNOPSIS",
    `.B ${name}`,
    ".I command",
    "[\\fIoptions\\fR] [\\fIarguments\\fR]",
    ".SH DESCRIPTION",
    ...prose(textAfterHelp(program)),
    ".SH OPTIONS",
    ...options(program),
    ".SH COMMANDS",
    ...program
      .createHelp()
      .visibleCommands(program)
      .filter((command) => command.name() !== "help")
      .flatMap((command) => describe(command, name)),
    ".SH FILES",
    ...item("/etc/portmesh/portmesh.toml", ["the configuration file, see portmesh.toml(5)"]),
    ...item("/run/portmesh/portmesh.sock", ["the socket of the running node, which the commands connect to"]),
    ...item("/var/lib/portmesh", ["the node\\(aqs state"]),
    ".SH SEE ALSO",
    ".BR portmesh.toml (5)",
  ];
  return `${lines.join("\n")}\n`;
}

/** The command and those below it. */
function describe(command: Command, parents: string): string[] {
  const name = `${parents} ${command.name()}`;
  const nested = command.createHelp().visibleCommands(command);
  const notes = prose(textAfterHelp(command));
  const aliases = command.aliases().map((alias) => `${parents} ${alias}`);
  return [
    `.SS ${quote(`${name} ${command.usage()}`.trim())}`,
    escapeLine(command.description()),
    ...(aliases.length > 0 ? [escapeLine(`Also: ${aliases.join(", ")}.`)] : []),
    ...command.registeredArguments.flatMap((argument) =>
      item(`<${argument.name()}${argument.variadic ? "..." : ""}>`, [
        escapeLine(command.createHelp().argumentDescription(argument)),
      ]),
    ),
    ...options(command),
    ...(notes.length > 0 ? [".PP", ...notes] : []),
    ...nested.filter((each) => each.name() !== "help").flatMap((each) => describe(each, name)),
  ];
}

function options(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter(({ long }) => long !== "--help" || command.parent === null)
    .flatMap((option) => item(option.flags, [escapeLine(help.optionDescription(option))]));
}

/** What addHelpText("after", …) prints. */
function textAfterHelp(command: Command): string {
  let text = "";
  const emitter = command as Command & NodeJS.EventEmitter; // its types leave this out
  emitter.emit("afterHelp", { error: false, command, write: (part: string) => (text += part) });
  return text;
}
