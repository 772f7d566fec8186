/**
 * `${NAME}` and `${NAME:-default}` in the string values of a file, with the grammar and the meaning they have in a
 * compose file: the default also stands in for an empty variable, and `$$` is a dollar sign. They are replaced after
 * the text has been parsed, so no value can change the structure of the file, and never twice: `${…}` in a value of a
 * variable is text.
 *
 * Deviates from compose: an unset variable is a fault, not an empty text, and so is `$` in front of anything else.
 */
import type { ConfigDocument, ConfigTable } from "./document.ts";
import type { Path } from "./problem.ts";
import { isSecretName } from "./secrets.ts";
import { MAX_FILE_BYTES } from "./size-limits.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$(?:\$|\{[^}]*\}|)/g;
const NAME_AND_DEFAULT = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;
/** A name like this is a key that was put between the braces. */
const LIKE_A_KEY = /^(?=.*[a-z])(?=.*[A-Z])\w{21,}$/;

const HOW = `write \${NAME} or \${NAME:-default} for a variable, $$ for a dollar sign`;

interface Expanded {
  readonly text: string;
  readonly variables: readonly string[];
  /** Values of variables whose names say that they are secret. */
  readonly secrets: readonly string[];
  /** None of the variables has a value: all of `text` stands in the file. */
  readonly isFromFile: boolean;
}

/** Replaces the variables in all strings of the document. */
export function expandVariables(document: ConfigDocument, environment: Environment): void {
  let roomChars = MAX_FILE_BYTES;
  const expand = (path: Path, value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((entry, index) => expand([...path, index], entry));
    if (typeof value === "object" && value !== null && !(value instanceof Date)) {
      const table = value as ConfigTable;
      for (const name of Object.keys(table)) table[name] = expand([...path, name], table[name]);
      return table;
    }
    if (typeof value !== "string" || !value.includes("$") || roomChars < 0) return value;
    const expanded = expandText(value, environment, roomChars);
    if ("fault" in expanded) {
      document.reportUnexpanded(path, expanded.fault);
      if (expanded.fault === TOO_LONG) roomChars = -1; // once
      return value;
    }
    roomChars -= expanded.text.length;
    document.noteVariables(path, expanded);
    return expanded.text;
  };
  document.value = expand([], document.value);
}

/** A string that means `text`. */
export function escapeVariables(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function expandText(
  text: string,
  environment: Environment,
  roomChars: number,
): Expanded | { readonly fault: string } {
  const variables: string[] = [];
  const secrets: string[] = [];
  let isFromFile = true;
  let result = "";
  let end = 0;
  for (const match of text.matchAll(REFERENCE)) {
    result += text.slice(end, match.index);
    end = match.index + match[0].length;
    const replaced = replace(match[0], text[end], environment);
    if ("fault" in replaced) return replaced;
    result += replaced.text;
    if (result.length > roomChars) return { fault: TOO_LONG };
    if (replaced.name === null) continue;
    variables.push(replaced.name);
    isFromFile &&= replaced.isDefault;
    if (isSecretName(replaced.name) && replaced.text !== "") secrets.push(replaced.text);
  }
  return { text: result + text.slice(end), variables, secrets, isFromFile };
}

const TOO_LONG = `the variables of this file expand to more than ${MAX_FILE_BYTES} characters`;

type Replaced =
  | { readonly text: string; readonly name: string | null; readonly isDefault: boolean }
  | { readonly fault: string };

/** @param next the character behind the reference */
function replace(reference: string, next: string | undefined, environment: Environment): Replaced {
  if (reference === "$$") return { text: "$", name: null, isDefault: true };
  if (reference === "$")
    return { fault: next === "{" ? `\${ without a closing }: ${HOW}` : `$ alone: ${HOW}` };
  const parts = NAME_AND_DEFAULT.exec(reference.slice(2, -1));
  if (parts === null) return { fault: `no variable name between \${ and }: ${HOW}` };
  const [, name = "", standIn] = parts;
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (standIn === undefined) {
    return value === undefined ? { fault: notSet(name) } : { text: value, name, isDefault: false };
  }
  if (/(?<!\$)(?:\$\$)*\$(?!\$)/.test(standIn)) {
    return {
      fault: `the default of \${${showName(name)}} contains $: a default cannot contain a variable; ${HOW}`,
    };
  }
  return value
    ? { text: value, name, isDefault: false }
    : { text: standIn.replaceAll("$$", "$"), name, isDefault: true };
}

function notSet(name: string): string {
  const shown = showName(name);
  return `environment variable ${shown} is not set: set it before portmesh starts, or write \${${shown}:-default}`;
}

function showName(name: string): string {
  return LIKE_A_KEY.test(name) ? "***" : name;
}
