/**
 * Kinds of rows. Those that only newer versions know are held, relayed and stored like all others, and never read. What
 * is decided for every kind, known or not, can therefore not change: which kinds are shared, their partitions
 * (entry.ts), and how long their tombstones live (replica.ts).
 */

/** Shared: service, directive. Owned: the others. */
export type EntryKind = "service" | "directive" | "task" | "node" | "declaration";
/** Of a newer version, by its number. */
type UnknownKind = `unknown ${number}`;
export type RowKind = EntryKind | UnknownKind;

/** Below FIRST_OWNED_KIND: shared. */
const KIND_NUMBERS: Readonly<Record<EntryKind, number>> = {
  service: 0,
  directive: 1,
  task: 32,
  node: 33,
  declaration: 34,
};
const FIRST_OWNED_KIND = 32;
const LAST_KIND = 63;
const KNOWN_KINDS = new Map(
  Object.entries(KIND_NUMBERS).map(([kind, number]) => [number, kind as EntryKind]),
);
const UNKNOWN = "unknown ";

export function kindNumber(kind: RowKind): number {
  return isKnown(kind) ? KIND_NUMBERS[kind] : Number(kind.slice(UNKNOWN.length));
}

/** null: no version will have a kind of this number. */
export function kindOf(number: unknown): RowKind | null {
  if (!Number.isInteger(number) || (number as number) < 0 || (number as number) > LAST_KIND) return null;
  return KNOWN_KINDS.get(number as number) ?? `${UNKNOWN}${number as number}`;
}

export function isKnown(kind: RowKind): kind is EntryKind {
  return !kind.startsWith(UNKNOWN);
}

export function isShared(kind: RowKind): boolean {
  return kindNumber(kind) < FIRST_OWNED_KIND;
}

/** Keys of known kinds differ from each other, those of unknown kinds may be anything. */
export function rowId(kind: RowKind, key: string): string {
  return isKnown(kind) ? key : `\0${kindNumber(kind)}\0${key}`;
}
