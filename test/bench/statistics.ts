/** Medians of samples. */
import type { Sample } from "./workload.ts";

/** The middle value, the mean of the two middle ones for an even count. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Per key the median of the samples that have it. */
export function medianSample(samples: readonly Sample[]): Sample {
  const keys = new Set(samples.flatMap((sample) => Object.keys(sample)));
  return Object.fromEntries([...keys].map((key) => [key, median(valuesOf(samples, key))]));
}

export function valuesOf(samples: readonly Sample[], key: string): number[] {
  return samples.map((sample) => sample[key]).filter((value) => value !== undefined);
}
