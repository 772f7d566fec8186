/** Other people's programs as children of a test: their files in a directory that goes away with them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./require-program.ts";

export interface RunningProgram {
  readonly directory: string;
  readonly child: Bun.Subprocess;
  stop(): Promise<void>;
}

/** Starts `program`; `args` gets the directory that holds `files`. */
export function startProgram(
  program: string,
  files: Readonly<Record<string, string>>,
  args: (directory: string) => readonly string[],
): RunningProgram {
  const directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const child = Bun.spawn([findProgram(program)!, ...args(directory)], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return {
    directory,
    child,
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
