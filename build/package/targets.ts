/** The machines that portmesh is released for. */

export interface Target {
  /** Ends the name of the file: portmesh-0.1.0-linux-x64. */
  readonly name: string;
  /** `--target` of `bun build`: decides what the compiler puts in place of process.arch. */
  readonly compileFor: string;
  /** The npm package of the runtime that the program is appended to. */
  readonly runtime: string;
}

/** Baseline: x64 without AVX2. */
export const TARGETS: readonly Target[] = [
  { name: "linux-x64", compileFor: "bun-linux-x64", runtime: "@oven/bun-linux-x64" },
  {
    name: "linux-x64-baseline",
    compileFor: "bun-linux-x64-baseline",
    runtime: "@oven/bun-linux-x64-baseline",
  },
  { name: "linux-arm64", compileFor: "bun-linux-arm64", runtime: "@oven/bun-linux-aarch64" },
  { name: "linux-x64-musl", compileFor: "bun-linux-x64-musl", runtime: "@oven/bun-linux-x64-musl" },
  {
    name: "linux-x64-musl-baseline",
    compileFor: "bun-linux-x64-musl-baseline",
    runtime: "@oven/bun-linux-x64-musl-baseline",
  },
  { name: "linux-arm64-musl", compileFor: "bun-linux-arm64-musl", runtime: "@oven/bun-linux-aarch64-musl" },
];
