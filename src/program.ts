/** argv -> command -> exit code. Modules a command needs are loaded by that command, so that start-up stays short. */
import { runCommandLine } from "./cli/index.ts";

process.exit(await runCommandLine(process.argv.slice(2)));
