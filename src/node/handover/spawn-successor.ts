/**
 * Starts the successor on behalf of `portmesh upgrade`. It is a child of the running process and not of the command:
 * so it has the same control group (a service manager counts it to the service and accepts its MAINPID), environment,
 * working directory, limits, and standard output and error, whoever asks and from which terminal. When the parent ends,
 * it belongs to init, or to the service manager, which has been given its process id by then.
 */

/** How the running process was started. */
export interface StartCommand {
  /** The executable, or the runtime with the source. */
  readonly program: readonly string[];
  /** "run" and what follows. */
  readonly args: readonly string[];
}

export interface SuccessorProcess {
  readonly pid: number;
  /** Resolves with how it ended, in words. */
  readonly ended: Promise<string>;
  kill(): void;
}

/** @param file another executable; null: the same. Throws the error of the system. */
export function spawnSuccessor(
  { program, args }: StartCommand,
  file: string | null,
  adminSocket: string,
): SuccessorProcess {
  const others = args.filter((arg) => !arg.startsWith("--take-over"));
  const command = [...(file === null ? program : [file]), ...others, `--take-over=${adminSocket}`];
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    env: process.env,
  });
  child.unref();
  const ended = child.exited.then((code) =>
    child.signalCode === null ? `it ended with exit code ${code}` : `it was ended by ${child.signalCode}`,
  );
  return { pid: child.pid, ended, kill: () => child.kill("SIGKILL") };
}
