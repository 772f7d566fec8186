/** Waits for a condition instead of sleeping: polls until it holds, fails with `what` at the deadline. */

const POLL_MS = 10;

export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  options: { readonly deadlineMs?: number; readonly what: string },
): Promise<void> {
  const { deadlineMs = 5000, what } = options;
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() >= endMs) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}
