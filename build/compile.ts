/** Compiles portmesh for this machine, dist/portmesh: `bun build/compile.ts [--no-bytecode] [--outfile FILE]`. */
import { parseArgs } from "node:util";
import { compileExecutable } from "./executable.ts";

const { values } = parseArgs({
  options: {
    outfile: { type: "string", default: "dist/portmesh" },
    "no-bytecode": { type: "boolean", default: false },
  },
});
await compileExecutable({ outfile: values.outfile, isBytecode: !values["no-bytecode"], target: null });
