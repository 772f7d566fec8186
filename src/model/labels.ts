/** Labels of nodes, and the same as a selector of nodes. */
import { MAX_LABEL_BYTES, MAX_LABELS } from "./limits.ts";
import type { Labels } from "./service.ts";

export const LABEL_KEY_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,62}$";
/** A character that is not ASCII is written as \uXXXX. */
const ESCAPED_BYTES = 6;

/** What is wrong with labels whose keys and values are right one by one; null: nothing. */
export function findLabelFault(labels: Labels): string | null {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) return `${entries.length} labels: at most ${MAX_LABELS} are allowed`;
  for (const [key, value] of entries) {
    if (/\p{Cc}/u.test(value)) return `the value of ${key} contains a control character`;
    if (!value.isWellFormed()) return `the value of ${key} is not valid Unicode`;
  }
  const bytes = labelBytes(labels);
  return bytes > MAX_LABEL_BYTES ? `${bytes} bytes of labels: at most ${MAX_LABEL_BYTES} are allowed` : null;
}

/** As JSON in ASCII. */
export function labelBytes(labels: Labels): number {
  return Object.entries(labels).reduce((sum, [key, value]) => sum + key.length + textBytes(value) + 6, 0);
}

/** Ascending by key: equal labels are then equal JSON. */
export function sortedLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** Whether a node with these labels is selected: it has them all. */
export function selects(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );
}

/** Whether no node can have the labels of both selectors. */
export function areSelectorsDisjoint(one: Labels, other: Labels): boolean {
  return Object.entries(one).some(([key, value]) => Object.hasOwn(other, key) && other[key] !== value);
}

function textBytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 0x20 || code > 0x7e ? ESCAPED_BYTES : code === 0x22 || code === 0x5c ? 2 : 1;
  }
  return bytes;
}
