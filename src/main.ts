/**
 * Health checks and signals first, then the program, which is a file of its own (program.ts): loading it takes longer than starting the
 * runtime, and a signal without a handler ends the process.
 */
import { quickHealth } from "./cli/quick-health.ts";
import { ORPHAN_COMMAND, runOrphanCommand } from "./node/handover/orphan.ts";
import { holdSignals } from "./sys/held-signals.ts";
import { inspectorVariable } from "./sys/inspector.ts";

const debuggerVariable = inspectorVariable(process.env);
if (debuggerVariable !== null) {
  process.stderr.write(
    `${debuggerVariable} is set: it opens a debugger, which lets others take over the process; unset it\n`,
  );
  process.exit(1);
}
if (process.argv[2] === "health") {
  const exitCode = await quickHealth(process.argv.slice(3), process.env);
  if (exitCode !== null) process.exit(exitCode);
}
if (process.argv[2] === ORPHAN_COMMAND) {
  runOrphanCommand(process.argv.slice(3));
  process.exit();
}
if (process.argv[2] === "run") holdSignals();
try {
  await import(new URL("./program.ts", import.meta.url).href);
} catch (error) {
  // loading fails where memory is too little for the libraries; what a command meets is explained by the command
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(
    `cannot start: ${reason}; is the address space limited (ulimit -v, LimitAS=)? use MemoryMax=\n`,
  );
  process.exit(1);
}
