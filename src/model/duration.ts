/** Durations as operators write them ("250ms", "2s", "1m30s") and as the program counts them (milliseconds). */

/** Largest unit first, each at most once. */
const GRAMMAR = /^(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
/** For editors. */
export const DURATION_PATTERN = "^(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?$";

const UNITS = [
  { name: "h", ms: 3_600_000 },
  { name: "m", ms: 60_000 },
  { name: "s", ms: 1_000 },
  { name: "ms", ms: 1 },
] as const;

/** null when it is not a duration; may be above MAX_DURATION_MS. */
export function parseDuration(text: string): number | null {
  const counts = GRAMMAR.exec(text)?.slice(1);
  if (counts === undefined) return null;
  return UNITS.reduce((sum, unit, index) => sum + Number(counts[index] ?? 0) * unit.ms, 0);
}

/** The shortest spelling that parses to the same value. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = "";
  for (const unit of UNITS) {
    const count = Math.floor(rest / unit.ms);
    rest -= count * unit.ms;
    if (count > 0) text += `${count}${unit.name}`;
  }
  return text === "" ? "0s" : text;
}
