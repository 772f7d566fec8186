/** Waiting in tests: for a condition, never for a time. */

/** Asking a node costs it and the test time: what takes long is asked for less often, and noticed 5 % late at most. */
const FIRST_POLL_MS = 5;
const POLL_SHARE = 0.05;
const LAST_POLL_MS = 50;
/** Of the runner's time for a test: what is waited for in vain shall be said before that is over. */
const TEST_TIMEOUT_MS = Number(process.env.TEST_TIMEOUT_MS ?? 30_000);
/** Far above what anything takes on an idle machine: only a busy one comes near it. */
const DEFAULT_DEADLINE_MS = Math.round(TEST_TIMEOUT_MS * (2 / 3));

export interface WaitOptions {
  /** At least so long between two looks, where one costs more than a moment. */
  readonly pollMs?: number;
  readonly deadlineMs?: number;
  /** What is being waited for, for the error message. */
  readonly what?: string;
}

/** Resolves with the condition's first truthy result; rejects at the deadline. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { pollMs = FIRST_POLL_MS, deadlineMs = DEFAULT_DEADLINE_MS, what = condition.toString() }: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const startMs = performance.now();
  for (;;) {
    const result = await condition();
    if (result) return result as Exclude<T, false | null | undefined>;
    const waitedMs = performance.now() - startMs;
    if (waitedMs > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await Bun.sleep(Math.max(pollMs, Math.min(POLL_SHARE * waitedMs, LAST_POLL_MS)));
  }
}
