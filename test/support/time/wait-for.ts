/** Waiting in tests: for a condition, never for a time. */

const POLL_MS = 5;
/** Far above what anything takes on an idle machine: only a busy one comes near it. */
const DEFAULT_DEADLINE_MS = 20_000;

export interface WaitOptions {
  readonly deadlineMs?: number;
  /** What is being waited for, for the error message. */
  readonly what?: string;
}

/** Resolves with the condition's first truthy result; rejects at the deadline. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { deadlineMs = DEFAULT_DEADLINE_MS, what = condition.toString() }: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const result = await condition();
    if (result) return result as Exclude<T, false | null | undefined>;
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}
