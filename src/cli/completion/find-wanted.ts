/**
 * What the last word of a command line can be, from commander's own tree: commands and options, or the value of an
 * option or argument, which somebody else has to find. Pure.
 */
import type { Argument, Command, Option } from "commander";

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export type Wanted =
  | { readonly kind: "candidates"; readonly candidates: readonly Candidate[]; readonly line: ParsedLine }
  | { readonly kind: "option"; readonly option: Option; readonly line: ParsedLine }
  | { readonly kind: "argument"; readonly argument: Argument; readonly line: ParsedLine };

export interface ParsedLine {
  readonly command: Command;
  /** The arguments before the last word. */
  readonly args: readonly string[];
  /** Values of the options before the last word, by attribute name. */
  readonly values: ReadonlyMap<string, string>;
  /** The last word, or what follows "--option=" in it. */
  readonly current: string;
  /** "--option=" when the last word begins with it. */
  readonly prefix: string;
}

/** @param words what follows the name of the program; the last one is being typed, and may be "" */
export function findWanted(program: Command, words: readonly string[]): Wanted {
  let command = program;
  let pending: Option | null = null;
  let areOptionsOver = false;
  const args: string[] = [];
  const values = new Map<string, string>();
  for (const word of words.slice(0, -1)) {
    if (pending !== null) {
      values.set(pending.attributeName(), word);
      pending = null;
    } else if (word === "--") areOptionsOver = true;
    else if (!areOptionsOver && isOption(word)) {
      const { option, value } = readOption(command, word);
      if (option?.required && value === null) pending = option;
      else if (option !== null && value !== null) values.set(option.attributeName(), value);
    } else {
      const nested = args.length === 0 ? findCommand(command, word) : null;
      if (nested === null) args.push(word);
      else command = nested;
    }
  }
  const current = words.at(-1) ?? "";
  const line = { command, args, values, current, prefix: "" };
  if (pending !== null) return { kind: "option", option: pending, line };
  if (!areOptionsOver && current.startsWith("-")) return wantedOption(line);
  return wantedArgument(line);
}

function wantedOption(line: ParsedLine): Wanted {
  const [name = "", ...rest] = line.current.split("=");
  const option = findOption(line.command, name);
  if (rest.length > 0 && option?.required) {
    return { kind: "option", option, line: { ...line, current: rest.join("="), prefix: `${name}=` } };
  }
  const options = line.command.createHelp().visibleOptions(line.command);
  const candidates = options.map((each) => ({
    value: each.long ?? each.short ?? "",
    description: each.description,
  }));
  return { kind: "candidates", candidates, line };
}

function wantedArgument(line: ParsedLine): Wanted {
  const { command, args } = line;
  const help = command.createHelp();
  const commands = command.commands.length > 0 ? help.visibleCommands(command) : [];
  if (commands.length > 0) {
    const candidates = commands.map((each) => ({
      value: each.name(),
      description: help.subcommandDescription(each),
    }));
    return { kind: "candidates", candidates: args.length === 0 ? candidates : [], line };
  }
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[args.length] ?? (last?.variadic ? last : undefined);
  return argument === undefined
    ? { kind: "candidates", candidates: [], line }
    : { kind: "argument", argument, line };
}

function isOption(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

/** "--name=value" and "-nvalue" bring their value along. */
function readOption(command: Command, word: string): { option: Option | null; value: string | null } {
  const equals = word.indexOf("=");
  if (word.startsWith("--")) {
    const name = equals < 0 ? word : word.slice(0, equals);
    return { option: findOption(command, name), value: equals < 0 ? null : word.slice(equals + 1) };
  }
  return { option: findOption(command, word.slice(0, 2)), value: word.length > 2 ? word.slice(2) : null };
}

function findOption(command: Command, name: string): Option | null {
  return command.options.find((option) => option.long === name || option.short === name) ?? null;
}

function findCommand(command: Command, name: string): Command | null {
  return command.commands.find((each) => each.name() === name || each.aliases().includes(name)) ?? null;
}
