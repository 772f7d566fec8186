/** Labels of nodes, and the same as a selector of nodes. */
import type { FieldReader } from "./field-reader.ts";
import { MAX_LABEL_VALUE_LENGTH, MAX_LABELS } from "./limits.ts";
import { isLabelKey } from "./names.ts";

export type Labels = Readonly<Record<string, string>>;

export function readLabels(reader: FieldReader, json: unknown, path: string): Labels {
  const entries = Object.entries(reader.object(json, path));
  if (entries.length > MAX_LABELS) reader.fail(path, `more than ${MAX_LABELS} labels`);
  if (reader.problem !== null) return {};
  return Object.fromEntries(
    entries.map(([key, value]) => [
      reader.named(key, path, "label key", isLabelKey),
      reader.text(value, `${path}.${key}`, MAX_LABEL_VALUE_LENGTH),
    ]),
  );
}

/** Ascending by key: equal labels are then equal JSON. */
export function sortedLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** Whether no node can have the labels of both selectors. {} selects every node. */
export function areSelectorsDisjoint(one: Labels, other: Labels): boolean {
  return Object.entries(one).some(([key, value]) => Object.hasOwn(other, key) && other[key] !== value);
}
