/**
 * The environment of a command: where its output goes and its environment variables. Tests pass their own.
 */
import { openOutput, writeWithin } from "../sys/output.ts";
import { escapeControls } from "../sys/terminal-text.ts";
import { writeAll } from "../sys/write-all.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
/** Wrong usage or wrong configuration. */
export const EXIT_WRONG = 2;

export interface Invocation {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results: standard output. */
  print(text: string): void;
  /** Errors: standard error. */
  complain(text: string): void;
  exitCode: number;
  /** The output may not be read: `complain` waits for a moment only, so that the process ends. */
  isDaemon: boolean;
}

/** A failure the user can do something about; its message is all that is printed. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";

  constructor(
    message: string,
    readonly exitCode: number = EXIT_FAILED,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const DAEMON_WAIT_MS = 1_000;

/**
 * A closed standard output ends the command. Names and errors of other nodes are part of what is printed, so control
 * characters are escaped.
 */
export function processInvocation(): Invocation {
  const invocation: Invocation = {
    env: process.env,
    exitCode: EXIT_DONE,
    isDaemon: false,
    print(text) {
      if (!writeAll(1, escapeControls(text))) process.exit(invocation.exitCode);
    },
    complain(text) {
      const safe = escapeControls(text);
      if (invocation.isDaemon) writeWithin(openOutput(2), safe, DAEMON_WAIT_MS);
      else writeAll(2, safe);
    },
  };
  return invocation;
}
