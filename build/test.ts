/**
 * Runs the tests: `npm test -- --help`; with --package those of `npm run test:package`. Ends with the slowest files, what failed, and one plain line,
 * "N passed, N failed[, N skipped]"; exit code 1 when a test failed. What runs beside what: test-plan.ts.
 */
import { parseArgs } from "node:util";
import { type Job, PACKAGE_FOLDER, planPackageTests, planTests, TEST_FOLDERS } from "./test-plan.ts";
import { canMakeNetworks, type JobResult, type Output, runJob } from "./test-run.ts";
import { type Summary, sumUp } from "./test-summary.ts";

const USAGE = `Usage: npm test -- [PATH...]

Runs all tests, or those whose files begin with a PATH: test/unit/config, test/net/udp, test/net/udp.test.ts.
The folders are ${TEST_FOLDERS.join(", ")}. The last two run the executable,
which is built first; as root up to three of their files run at a time, each in a network namespace of its own.

npm run test:package -- [PATH...] does the same for ${PACKAGE_FOLDER}: packages, images and executables for other
machines. It needs root, and more Debian packages than the rest; its files run one after the other.

With REQUIRE_ALL=1 a test that lacks a program or a privilege fails instead of being skipped.
Random tests print the variable that repeats them when they fail: SEED=1234 npm test -- test/net/tcp-chaos`;

/** On two cores: files of the executable's tests wait for more than half of their time, those that compute fill it. */
const WAITING_AT_ONCE = 3;
const SLOWEST_SHOWN = 10;

const { values, positionals } = parseArgs({
  options: { help: { type: "boolean", short: "h" }, package: { type: "boolean", default: false } },
  allowPositionals: true,
});
if (values.help) console.log(USAGE);
else process.exit((await runTests(positionals, values.package)) ? 0 : 1);

async function runTests(paths: readonly string[], isPackage: boolean): Promise<boolean> {
  const files = findFiles(isPackage ? [PACKAGE_FOLDER] : TEST_FOLDERS, paths);
  const plan = isPackage ? planPackageTests(files) : planTests(files);
  const single = [...plan.waiting, ...plan.alone];
  const count = plan.computing.length + single.length;
  if (count === 0 && isPackage && paths.length === 0) return reportAll([]);
  if (count === 0) console.error(`cannot find a test: no file begins with ${paths.join(" or ")}`);
  if (count === 0 || (single.length > 0 && !isPackage && !(await buildExecutable()))) return reportAll([], 1);

  const hasNetworks = canMakeNetworks();
  const results: JobResult[] = [];
  const run = async (job: Job, isAlone: boolean) => {
    const chunks: Uint8Array[] = [];
    const output: Output = isAlone ? process.stderr : { write: (chunk) => chunks.push(chunk) };
    const result = await runJob(job, hasNetworks && job.needsOwnNetwork, output);
    process.stderr.write(Buffer.concat(chunks)); // files that run at the same time do not mix
    results.push(result);
    console.error(`${results.length} of ${count}: ${result.name} in ${duration(result)}`);
  };

  const isAlone = !hasNetworks || count === 1;
  const runQueue = async (queue: Job[]) => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) await run(job, isAlone);
  };
  const computing = [...plan.computing];
  const waiting = [...plan.waiting];
  if (isAlone) await runQueue([...computing, ...waiting]);
  else await Promise.all([computing, ...Array(WAITING_AT_ONCE).fill(waiting)].map(runQueue));
  for (const job of plan.alone) await run(job, true);
  return reportAll(results);
}

function findFiles(folders: readonly string[], paths: readonly string[]): string[] {
  const files = folders.flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.test.ts`).scanSync()].sort());
  return paths.length === 0 ? files : files.filter((file) => paths.some((path) => file.startsWith(path)));
}

async function buildExecutable(): Promise<boolean> {
  const build = Bun.spawn([process.execPath, "build/compile.ts"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return (await build.exited) === 0;
}

/** True when nothing failed. */
function reportAll(results: readonly JobResult[], otherFailures = 0): boolean {
  const slowest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN);
  for (const result of slowest) console.error(`${duration(result).padStart(24)}  ${result.name}`);
  for (const failure of results.flatMap(({ failures }) => failures)) console.error(failure);
  const none: Summary = { passed: 0, failed: otherFailures, skipped: 0 };
  const { passed, failed, skipped } = results.map(({ summary }) => summary).reduce(sumUp, none);
  console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);
  return failed === 0;
}

function duration({ seconds, cpuSeconds }: JobResult): string {
  return `${seconds.toFixed()} s (${cpuSeconds.toFixed()} s of CPU)`;
}
