/**
 * Signals first, then the program, which is a file of its own (program.ts): loading it takes longer than starting the
 * runtime, and a signal without a handler ends the process.
 */
import { holdSignals } from "./sys/held-signals.ts";

if (process.argv[2] === "run") holdSignals();
await import(new URL("./program.ts", import.meta.url).href);
