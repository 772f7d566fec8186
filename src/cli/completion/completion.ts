/** `portmesh completion`: the script for a shell; and the hidden command that the script asks on every Tab. */
import { Argument, type Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { findValues } from "./find-values.ts";
import { type Candidate, findWanted, type ParsedLine } from "./find-wanted.ts";
import { SCRIPTS } from "./scripts.ts";

const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[];
const HELP = `
Completes commands, options, and the names of services, nodes and tasks, for which it asks the running node.
The Debian package installs it for all three shells.

Install for one user:
  portmesh completion bash > ~/.local/share/bash-completion/completions/portmesh
  portmesh completion zsh > ~/.zfunc/_portmesh     # ~/.zshrc: fpath=(~/.zfunc $fpath) before compinit
  portmesh completion fish > ~/.config/fish/completions/portmesh.fish

Try it in the running shell:
  source <(portmesh completion bash)               # or zsh
  portmesh completion fish | source`;

export function addCompletion(program: Command, invocation: Invocation): void {
  program
    .command("completion")
    .summary("print the completion script for a shell")
    .description("Prints the script that completes portmesh commands in a shell.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText("after", HELP)
    .action((shell: keyof typeof SCRIPTS) => invocation.print(SCRIPTS[shell]));
  program
    .command("__complete", { hidden: true })
    .argument("[words...]", "what follows the name of the program; the last one is being typed")
    .action(async (words: string[]) => {
      const wanted = findWanted(program, words);
      const values = await findValues(wanted, invocation.env);
      invocation.print(values === "files" ? "files\n" : `words\n${format(values, wanted.line)}`);
    });
}

/** Only what the shells can show in a line; a value with blanks would need quotes in each of them. */
function format(values: readonly Candidate[], { prefix, current }: ParsedLine): string {
  return values
    .filter(({ value }) => value.startsWith(current) && /^[!-~]+$/.test(value))
    .map(({ value, description }) => `${prefix}${value}\t${description.replaceAll(/\s+/g, " ")}\n`)
    .join("");
}
