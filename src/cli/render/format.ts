/** Numbers and times in the few characters a person reads at a glance. */

const UNITS = [
  { suffix: "d", ms: 86_400_000 },
  { suffix: "h", ms: 3_600_000 },
  { suffix: "m", ms: 60_000 },
  { suffix: "s", ms: 1_000 },
] as const;

/** The two largest units: "3d4h", "2m5s", "0s". */
export function formatAge(ms: number): string {
  const largest = UNITS.findIndex((unit) => ms >= unit.ms);
  if (largest < 0) return "0s";
  let rest = ms;
  return UNITS.slice(largest, largest + 2)
    .map(({ suffix, ms: unitMs }) => {
      const count = Math.floor(rest / unitMs);
      rest -= count * unitMs;
      return count === 0 ? "" : `${count}${suffix}`;
    })
    .join("");
}

/** "0 B", "999 B", "1.5 kB", "12 MB": decimal, as network people count. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes;
  let unit = "";
  for (unit of ["kB", "MB", "GB", "TB", "PB"]) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

/** "2026-11-23 03:55:14", local time. */
export function formatTime(atMs: number): string {
  const date = new Date(atMs - new Date(atMs).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19).replace("T", " ");
}

/** "1 problem", "3 problems" */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** "3 replay, 1 bad-tag", the most frequent first; "": none. */
export function formatCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(", ");
}

/** @param service null: this node's own record */
export function describeUnpublished(service: string | null): string {
  if (service === null) return "this node's labels and addresses are not published to the cluster";
  return `service ${service} is not published to the cluster: only this node serves it`;
}
