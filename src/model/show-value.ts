/** Longer values are cut: a line of a terminal has about this many characters. */
export const MAX_SHOWN_LENGTH = 80;

/** A value as error messages quote it: short, on one line, without control characters. */
export function showValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value instanceof Date) return "a date";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a table";
  if (typeof value !== "string") return String(value);
  const isLong = value.length > MAX_SHOWN_LENGTH;
  return JSON.stringify(isLong ? `${value.slice(0, MAX_SHOWN_LENGTH)}…` : value);
}
