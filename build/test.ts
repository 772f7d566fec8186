/**
 * Runs the tests: `npm test`, or `npm test -- test/unit/node` for some. Ends with one plain line,
 * "N passed, N failed[, N skipped]", and exit code 1 when anything failed.
 *
 * Groups run one after the other; those that need the compiled binary come last. A group that ends without a summary
 * has crashed or hung: its files are then run one by one, and each that crashes again counts as a failed test.
 */
import { parseSummary, type Summary, sumUp } from "./test-summary.ts";

interface Group {
  readonly folder: string;
  readonly needsBinary: boolean;
  readonly testTimeoutMs: number;
  /** A blocked system call stops the runner's own timeouts, so the whole process has one. */
  readonly processTimeoutMs: number;
}

const MINUTE_MS = 60_000;
const GROUPS: readonly Group[] = [
  { folder: "test/unit", needsBinary: false, testTimeoutMs: 30_000, processTimeoutMs: 5 * MINUTE_MS },
  { folder: "test/sim", needsBinary: false, testTimeoutMs: 2 * MINUTE_MS, processTimeoutMs: 10 * MINUTE_MS },
  { folder: "test/fuzz", needsBinary: false, testTimeoutMs: 2 * MINUTE_MS, processTimeoutMs: 10 * MINUTE_MS },
  { folder: "test/net", needsBinary: true, testTimeoutMs: 2 * MINUTE_MS, processTimeoutMs: 50 * MINUTE_MS },
  {
    folder: "test/interop",
    needsBinary: true,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 20 * MINUTE_MS,
  },
];

const NONE: Summary = { passed: 0, failed: 0, skipped: 0 };

const total = await runAll(process.argv.slice(2));
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed === 0 ? 0 : 1);

async function runAll(paths: readonly string[]): Promise<Summary> {
  let sum = NONE;
  let isBuilt = false;
  for (const group of GROUPS) {
    const files = findFiles(group.folder, paths);
    if (files.length === 0) continue;
    if (group.needsBinary && !isBuilt && !(isBuilt = await buildBinary()))
      return sumUp(sum, { ...NONE, failed: 1 });
    sum = sumUp(sum, await runGroup(group, files));
  }
  if (sum.passed + sum.failed + sum.skipped > 0) return sum;
  console.error(`cannot find a test: nothing matches ${paths.join(", ")}`);
  return { ...NONE, failed: 1 };
}

function findFiles(folder: string, paths: readonly string[]): string[] {
  const files = [...new Bun.Glob(`${folder}/**/*.test.ts`).scanSync()].sort();
  return paths.length === 0 ? files : files.filter((file) => paths.some((path) => file.startsWith(path)));
}

async function runGroup(group: Group, files: readonly string[]): Promise<Summary> {
  const together = await runFiles(group, files);
  if (together !== null) return together;
  console.error(`\n${group.folder}: crashed or hung: running its files one by one`);
  let sum = NONE;
  for (const file of files) {
    const alone = await runFiles(group, [file]);
    if (alone === null) console.error(`\n(fail) ${file} crashed or hung`);
    sum = sumUp(sum, alone ?? { ...NONE, failed: 1 });
  }
  return sum;
}

/** null when the run ended without a summary. */
async function runFiles(group: Group, files: readonly string[]): Promise<Summary | null> {
  const run = Bun.spawn(
    [process.execPath, "test", `--timeout=${group.testTimeoutMs}`, ...files.map((file) => `./${file}`)],
    { stdio: ["ignore", "inherit", "pipe"], timeout: group.processTimeoutMs, killSignal: "SIGKILL" },
  );
  const output = await passThrough(run.stderr);
  return parseSummary(output, await run.exited);
}

async function passThrough(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    process.stderr.write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

async function buildBinary(): Promise<boolean> {
  const build = Bun.spawn([process.execPath, "build/compile.ts"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return (await build.exited) === 0;
}
