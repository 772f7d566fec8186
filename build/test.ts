/**
 * Runs the tests: `npm test`, or `npm test -- test/unit/node` for some. Ends with one plain line,
 * "N passed, N failed[, N skipped]", and exit code 1 when anything failed.
 *
 * Groups run one after the other; those that need the compiled binary come last. A group that ends without a summary
 * has crashed or hung: its files are then run one by one, and each that crashes again counts as a failed test.
 *
 * Tests of the binary mostly wait. As root, two of their files run beside each other, each in a network namespace of
 * its own, so that no port or address of one is in the way of the other.
 */
import { parseSummary, type Summary, sumUp } from "./test-summary.ts";

interface Group {
  readonly folder: string;
  readonly needsBinary: boolean;
  readonly filesAtOnce: number;
  readonly testTimeoutMs: number;
  /** A blocked system call stops the runner's own timeouts, so the whole process has one. */
  readonly processTimeoutMs: number;
}

const MINUTE_MS = 60_000;
const GROUPS: readonly Group[] = [
  {
    folder: "test/unit",
    needsBinary: false,
    filesAtOnce: 1,
    testTimeoutMs: 30_000,
    processTimeoutMs: 5 * MINUTE_MS,
  },
  {
    folder: "test/sim",
    needsBinary: false,
    filesAtOnce: 1,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 10 * MINUTE_MS,
  },
  {
    folder: "test/fuzz",
    needsBinary: false,
    filesAtOnce: 1,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 10 * MINUTE_MS,
  },
  {
    folder: "test/net",
    needsBinary: true,
    filesAtOnce: 2,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 50 * MINUTE_MS,
  },
  {
    folder: "test/interop",
    needsBinary: true,
    filesAtOnce: 2,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 20 * MINUTE_MS,
  },
];

/** Files named at the end. */
const SLOWEST = 10;

interface Output {
  write(chunk: Uint8Array): unknown;
}

/** As on any machine; without one of a family its names are not looked up. */
const OWN_ADDRESSES = ["192.0.2.1/32", "2001:db8::1/128"];
const OWN_LOOPBACK = [
  "ip link set lo up",
  ...OWN_ADDRESSES.map((address) => `ip address add ${address} dev lo`),
].join(" && ");
/** Runs the command that follows in a network of its own, without a way out; its output is that for errors. */
const OWN_NETWORK = ["unshare", "--net", "sh", "-c", `${OWN_LOOPBACK} && exec "$@" >&2`, "sh"];
const NONE: Summary = { passed: 0, failed: 0, skipped: 0 };

/** What went wrong, once more at the end. */
const failures: string[] = [];
/** Of files that ran alone. */
const durations: { readonly file: string; readonly seconds: number }[] = [];
const total = await runAll(process.argv.slice(2));
const slowest = durations.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
for (const { file, seconds } of slowest) console.error(`${String(seconds).padStart(5)} s  ${file}`);
for (const failure of failures) console.error(failure);
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

function runGroup(group: Group, files: readonly string[]): Promise<Summary> {
  const isApart = group.filesAtOnce > 1 && files.length > 1 && canMakeNetworks();
  return isApart ? runApart(group, files) : runTogether(group, files);
}

async function runTogether(group: Group, files: readonly string[]): Promise<Summary> {
  const together = await runFiles(group, files, process.stderr);
  if (together !== null) return together;
  console.error(`\n${group.folder}: crashed or hung: running its files one by one`);
  let sum = NONE;
  for (const file of files) sum = sumUp(sum, await runAlone(group, file, process.stderr));
  return sum;
}

/** A network namespace for each file; what a file has printed comes when it is done. */
async function runApart(group: Group, files: readonly string[]): Promise<Summary> {
  const left = files.toSorted((a, b) => Bun.file(b).size - Bun.file(a).size); // the long ones first
  let sum = NONE;
  let doneCount = 0;
  const runNext = async (): Promise<void> => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      const output: Uint8Array[] = [];
      const startMs = performance.now();
      const own = await runAlone(group, file, { write: (chunk) => output.push(chunk) }, OWN_NETWORK);
      const seconds = Math.round((performance.now() - startMs) / 1000);
      durations.push({ file, seconds });
      process.stderr.write(Buffer.concat(output));
      console.error(`${group.folder}: ${++doneCount} of ${files.length} files done, ${file} in ${seconds} s`);
      sum = sumUp(sum, own);
    }
  };
  await Promise.all(Array.from({ length: group.filesAtOnce }, runNext));
  return sum;
}

function canMakeNetworks(): boolean {
  return process.getuid?.() === 0 && Bun.spawnSync([...OWN_NETWORK, "true"], { stderr: "ignore" }).success;
}

async function runAlone(
  group: Group,
  file: string,
  output: Output,
  prefix: readonly string[] = [],
): Promise<Summary> {
  const summary = await runFiles(group, [file], output, prefix);
  if (summary === null) failures.push(`(fail) ${file} crashed or hung`);
  return summary ?? { ...NONE, failed: 1 };
}

/** null when the run ended without a summary. */
async function runFiles(
  group: Group,
  files: readonly string[],
  output: Output,
  prefix: readonly string[] = [],
): Promise<Summary | null> {
  const paths = files.map((file) => `./${file}`);
  const run = Bun.spawn([...prefix, process.execPath, "test", `--timeout=${group.testTimeoutMs}`, ...paths], {
    stdio: ["ignore", "inherit", "pipe"],
    timeout: group.processTimeoutMs,
    killSignal: "SIGKILL",
  });
  const text = await passThrough(run.stderr, output);
  const summary = parseSummary(text, await run.exited);
  if (summary !== null) failures.push(...new Set(text.match(/^\(fail\) .*/gm)));
  return summary;
}

async function passThrough(stream: ReadableStream<Uint8Array>, output: Output): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    output.write(chunk);
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
