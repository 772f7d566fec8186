/** Where a compiled executable finds its own modules. */
const COMPILED_ROOT = "/$bunfs/";

/** The command line that starts this program again: the executable, or the runtime with the source. */
export function selfCommand(): string[] {
  return Bun.main.startsWith(COMPILED_ROOT) ? [process.execPath] : [process.execPath, Bun.main];
}
