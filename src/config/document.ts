/**
 * A configuration file as plain values plus the place of every key in it, whatever the syntax was.
 * Objects have no prototype, so a key such as `__proto__` is a key like any other.
 *
 * Every problem is made here, and loses what must not be shown here.
 *
 * Invariant: nesting is bounded here (`maxDepth`), so nothing behind this file can overflow the stack.
 */
import { showValue } from "../model/index.ts";
import { formatPath, type Path, type Problem } from "./problem.ts";
import { isSecret, MASKED, maskPath, maskValue } from "./secrets.ts";

/** Deeper than any valid file (services[0].publish[0].target is 5) with room for a useful error. */
const maxDepth = 16;

/** Both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Of a string that has variables in it. */
export interface VariableUse {
  readonly variables: readonly string[];
  /** Values that must not be shown. */
  readonly secrets: readonly string[];
  /** All of them have their defaults: the value stands in the file. */
  readonly isFromFile: boolean;
}

export type ConfigTable = Record<string, unknown>;

/** What the TOML and JSON readers fill while they walk their syntax trees. */
export class ConfigDocument {
  readonly file: string;
  value: unknown = newTable();
  /** Some of the text could not be read, so the value is not worth checking. */
  isBroken = false;
  readonly problems: Problem[] = [];
  readonly #places = new Map<string, Place>();
  readonly #variables = new Map<string, VariableUse>();
  /** What is there is not what was meant. */
  readonly #unexpanded = new Set<string>();

  constructor(file: string) {
    this.file = file;
  }

  /** The first place given to a path stays: a table may be opened again further down. */
  mark(path: Path, place: Place): void {
    const key = formatPath(path);
    if (!this.#places.has(key)) this.#places.set(key, place);
  }

  /** The place of the key or list entry; of the nearest table around it when the file does not have it. */
  placeOf(path: Path): Place {
    for (let length = path.length; length > 0; length--) {
      const place = this.#places.get(formatPath(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return { line: 1, column: 1 };
  }

  /** The string at `path` had variables in it. */
  noteVariables(path: Path, use: VariableUse): void {
    this.#variables.set(formatPath(path), use);
  }

  variablesAt(path: Path): VariableUse | null {
    return this.#variables.get(formatPath(path)) ?? null;
  }

  get variableUses(): VariableUse[] {
    return [...this.#variables.values()];
  }

  /** The variables of the string at `path` have no values; what follows from that is not reported. */
  reportUnexpanded(path: Path, message: string): void {
    this.reportUnquoted(path, MASKED, message);
    this.#unexpanded.add(formatPath(path));
  }

  isUnexpanded(path: Path): boolean {
    return this.#unexpanded.has(formatPath(path));
  }

  /** `message` may quote the value: where that is a secret it is replaced by one that does not. */
  report(path: Path, value: unknown, message: string, place?: Place): void {
    const isHidden = (this.variablesAt(path)?.secrets.length ?? 0) > 0;
    const shown = isSecret(path, value) ? secretMessage(value) : isHidden ? HIDDEN_MESSAGE : message;
    this.reportUnquoted(path, value, shown, place);
  }

  /** `message` consists of our own words, whatever the value is. */
  reportUnquoted(path: Path, value: unknown, message: string, place: Place = this.placeOf(path)): void {
    if (this.isUnexpanded(path)) return;
    const { line, column } = place;
    const key = formatPath(maskPath(path));
    const { variables = [], secrets = [] } = this.variablesAt(path) ?? {};
    const shown = secrets.length > 0 ? MASKED : maskValue(path, value);
    const origin =
      variables.length === 0 ? "" : ` (from ${variables.map((name) => `\${${name}}`).join(", ")})`;
    this.problems.push({ file: this.file, line, column, key, value: shown, message: message + origin });
  }

  /** A fault after which the rest of the text cannot be read. */
  fail(place: Place, message: string): void {
    this.isBroken = true;
    this.reportUnquoted([], undefined, message, place);
  }

  /** False, with the document failed, when a value at `path` would lie too deep to be read. */
  canNest(path: Path, place: Place): boolean {
    if (path.length <= maxDepth) return true;
    this.fail(place, `nested ${path.length} levels deep: at most ${maxDepth} are allowed`);
    return false;
  }
}

const HIDDEN_MESSAGE =
  "this value is not allowed here; it is hidden because the variable is named like a secret";

function secretMessage(value: unknown): string {
  const shown = typeof value === "object" ? showValue(value) : MASKED;
  return `${shown} is not allowed here: cluster.keys is a list of strings, as \`portmesh keygen\` prints them`;
}

export function newTable(): ConfigTable {
  return Object.create(null);
}

/** The value at `path` in a document's value; undefined where there is none. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as ConfigTable)[step];
  }
  return value;
}

/** -0 becomes 0: the difference would survive printing and reading back only in some formats. */
export function plainNumber(value: number): number {
  return value === 0 ? 0 : value;
}
