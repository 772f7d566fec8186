/** The command line: argv in, exit code out. */
export { runCommandLine } from "./command-line.ts";
