/** How to run this very program again: the executable, or the runtime with the source. */
const COMPILED_ROOT = "/$bunfs/"; // where a compiled executable finds its own modules

export function selfCommand(): string[] {
  return Bun.main.startsWith(COMPILED_ROOT) ? [process.execPath] : [process.execPath, Bun.main];
}
