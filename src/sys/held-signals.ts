/**
 * Signals while a daemon loads, before there is anything to reload or to stop. Imports nothing, so that it comes first.
 * What remains without a handler is the start of the runtime itself, about 10 ms after exec.
 */

const ENDING = ["SIGTERM", "SIGINT"] as const;
const IGNORED = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/**
 * The configuration has not been read: a reload is not missed. Nothing is open: a stop is an exit; under a service
 * manager so is SIGUSR2, its signal for a restart.
 */
export function holdSignals(): void {
  for (const signal of ENDING) process.on(signal, () => process.exit(0));
  if (process.env.NOTIFY_SOCKET) process.on("SIGUSR2", () => process.exit(0));
  for (const signal of IGNORED) process.on(signal, () => undefined);
}

/** From now on `onSignal` handles it, and it alone; at no moment is it without a handler. */
export function takeSignal(signal: NodeJS.Signals, onSignal: () => void): void {
  const before = process.listeners(signal);
  process.on(signal, onSignal);
  for (const listener of before) process.off(signal, listener);
}
