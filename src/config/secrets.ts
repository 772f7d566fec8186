/**
 * What of a configuration file must not be shown: everything below a key that is called like `keys`, and in [cluster],
 * or a section called like it, everything that is not known to be harmless. The rule goes by place, not by form,
 * because the mistakes that are reported are mistakes of form: a text in the place of a list, a key misspelt, the
 * key of the cluster as the name of a key of the file.
 *
 * In other places only what has the exact form of a key is hidden.
 */
import { distance } from "fastest-levenshtein";
import { MAX_SHOWN_LENGTH } from "../model/index.ts";
import type { Path } from "./problem.ts";

export const MASKED = "***";

/** Keys of [cluster] whose values are shown, unless they look like a key. */
const HARMLESS: ReadonlySet<string> = new Set(["name", "keys_file", "join", "bind", "profile", "insecure"]);
/** The shortest key is 22 characters of base64; longer names of keys are hidden where a key may be mistaken for one. */
const MAX_SHOWN_NAME_CHARS = 20;
const KEY_CHARS = /[A-Za-z0-9+/_-]{21}/;
/** 16, 24 and 32 bytes in base64; 24 have no padding and are no different from a word. */
const MIN_PART_CHARS = 4;
const PADDED_KEY = /[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{22}==/;
const ONLY_KEY_CHARS = /^[A-Za-z0-9+/_=-]{21,}$/;
/** CREDENTIALS_DIRECTORY of systemd, KEY_FILE: where a secret is, not what it is. */
const PLACE_OF_SECRET = /_(?:file|path|dir|directory)$/;
const SECRET_WORD = /key|secret|passw|passphrase|psk|token|credential|private/;

/** True when a message about `value` at `path` must not quote it. */
export function isSecret(path: Path, value: unknown): boolean {
  if (secretRoot(path) !== null) return true;
  if (typeof value === "object" && value !== null) return false;
  const names = isLabel(path) ? ["labels"] : path.filter((step) => typeof step === "string");
  const isInCluster = names.some(isLikeCluster);
  // A text in the place of a section, or of the whole file.
  if (names.length === 0 || (isInCluster && isLikeCluster(names.at(-1)!))) return typeof value === "string";
  return typeof value === "string" && (isInCluster ? KEY_CHARS : PADDED_KEY).test(value);
}

/** True for what stands in the place of a path and may be a key. */
export function mayBeKey(path: string): boolean {
  return !path.startsWith("/") && (PADDED_KEY.test(path) || ONLY_KEY_CHARS.test(path));
}

/**
 * `text` without these secrets, also where they are quoted as JSON. A short one is hidden where it is the whole text only:
 * it is part of too many others.
 */
export function hideTexts(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => {
    if (shown === secret) return MASKED;
    if (secret.length < MIN_PART_CHARS) return shown;
    const quoted = JSON.stringify(secret).slice(1, -1);
    return hideCutOff(shown.replaceAll(secret, MASKED).replaceAll(quoted, MASKED), quoted);
  }, text);
}

/** Long values are quoted with their beginning: see show-value.ts. */
function hideCutOff(text: string, secret: string): string {
  if (!text.includes("…")) return text;
  const longest = Math.min(secret.length, 6 * MAX_SHOWN_LENGTH);
  for (let length = longest; length >= MIN_PART_CHARS; length--) {
    const cutOff = `${secret.slice(0, length)}…`;
    if (text.includes(cutOff)) return text.replaceAll(cutOff, `${MASKED}…`);
  }
  return text;
}

/** The same value with other strings in it. */
export function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === "string") return map(value);
  if (Array.isArray(value)) return value.map((entry) => mapStrings(entry, map));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mapStrings(inner, map)]));
}

/** True for the name of an environment variable whose value must not be shown. */
export function isSecretName(name: string): boolean {
  const folded = name.toLowerCase();
  return SECRET_WORD.test(folded) && !PLACE_OF_SECRET.test(folded);
}

/** `value` without its secrets; equal to it when it has none. */
export function maskValue(path: Path, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (isSecret(path, value)) return MASKED;
  if (Array.isArray(value)) return value.map((entry, index) => maskValue([...path, index], entry));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const innerPath = [...path, name];
      return [String(maskPath(innerPath).at(-1)), maskValue(innerPath, inner)];
    }),
  );
}

/** `path` without names that may be secrets themselves. */
export function maskPath(path: Path): Path {
  const root = secretRoot(path);
  return path.map((step, index) => {
    if (typeof step === "number") return step;
    if (root !== null && index > root) return MASKED;
    return (index === root ? isLongName(step) : PADDED_KEY.test(step)) ? MASKED : step;
  });
}

/** The step of `path` at and below which all is secret; null: none. */
function secretRoot(path: Path): number | null {
  if (isLabel(path)) return null;
  let isInCluster = false;
  for (const [index, step] of path.entries()) {
    if (typeof step === "number") continue;
    if (isInCluster ? !HARMLESS.has(step) : isLikeKeys(step)) return index;
    isInCluster ||= isLikeCluster(step);
  }
  return null;
}

/** Labels have any names, and are shown by status. */
function isLabel([section, second, third]: Path): boolean {
  return (section === "node" && second === "labels") || (section === "services" && third === "nodes");
}

function isLongName(name: string): boolean {
  return name.length > MAX_SHOWN_NAME_CHARS;
}

function isLikeKeys(name: string): boolean {
  const folded = name.toLowerCase();
  return (
    SECRET_WORD.test(folded) ||
    isNear(folded, "keys", 1) ||
    (folded.length === 4 && isNear(folded, "keys", 2))
  );
}

function isLikeCluster(name: string): boolean {
  const folded = name.toLowerCase();
  return folded.includes("cluster") || isNear(folded, "cluster", 2);
}

/** Of names of other lengths the distance is not worth its cost. */
function isNear(name: string, wanted: string, edits: number): boolean {
  return Math.abs(name.length - wanted.length) <= edits && distance(name, wanted) <= edits;
}
