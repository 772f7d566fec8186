/** The command line of the simulations' report. Pure. */
import { parseArgs } from "node:util";

export interface Options {
  readonly members: readonly number[];
  readonly seeds: number;
  readonly out: string;
}

export const usage = `npm run sim -- [options]

Simulates clusters in virtual time and writes report.md, report.json and pictures.

  --members LIST  sizes of the clusters, 2..20000 (default 8,16,32,64,128,256,1000)
  --seeds N       runs of each (default 20; a quarter of it from 1000 members on, one from 10000 on)
  --out FOLDER    (default dist/sim)
  --help`;

export class UsageError extends Error {}

/** @throws UsageError */
export function parseOptions(argv: readonly string[]): Options | "help" {
  const values = read(argv);
  if (values.help === true) return "help";
  const members = (values.members ?? "8,16,32,64,128,256,1000").split(",");
  return {
    members: members.map((text) => numberOf("--members", text, 2, 20_000)),
    seeds: numberOf("--seeds", values.seeds ?? "20", 1, 10_000),
    out: values.out ?? "dist/sim",
  };
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        members: { type: "string" },
        seeds: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function numberOf(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(`${option}: ${text} is not a whole number in ${min}..${max}`);
}
