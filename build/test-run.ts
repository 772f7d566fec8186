/** Runs one job of the plan as a `bun test` process, and reads how it ended. */
import type { Job } from "./test-plan.ts";
import { parseSummary, type Summary, sumUp } from "./test-summary.ts";

export interface JobResult {
  readonly name: string;
  readonly summary: Summary;
  /** "(fail) the test's name" */
  readonly failures: readonly string[];
  readonly seconds: number;
  /** Of its processes and their children. */
  readonly cpuSeconds: number;
}

export interface Output {
  write(chunk: Uint8Array): unknown;
}

type Run = Pick<JobResult, "summary" | "failures" | "cpuSeconds">;

/** As on any machine; without one of a family its names are not looked up. */
const OWN_ADDRESSES = ["192.0.2.1/32", "2001:db8::1/128"];
const OWN_LOOPBACK = [
  "ip link set lo up",
  ...OWN_ADDRESSES.map((address) => `ip address add ${address} dev lo`),
].join(" && ");
/** Runs the command that follows in a network of its own, without a way out; its output is that for errors. */
const OWN_NETWORK = ["unshare", "--net", "sh", "-c", `${OWN_LOOPBACK} && exec "$@" >&2`, "sh"];

/** Of a file whose tests wait beside each other: each may start some nodes. */
const CONCURRENT_TESTS = 6;

export function canMakeNetworks(): boolean {
  return process.getuid?.() === 0 && Bun.spawnSync([...OWN_NETWORK, "true"], { stderr: "ignore" }).success;
}

/** Files that share a process are run one by one when it crashes; each that crashes again is a failed test. */
export async function runJob(job: Job, inOwnNetwork: boolean, output: Output): Promise<JobResult> {
  const startMs = performance.now();
  const prefix = inOwnNetwork ? OWN_NETWORK : [];
  let run = await runFiles(job, job.files, prefix, output);
  if (run.hasCrashed && job.files.length > 1) {
    output.write(Buffer.from(`\n${job.name}: crashed or hung: running its files one by one\n`));
    const runs: Run[] = [];
    for (const file of job.files) runs.push(await runFiles(job, [file], prefix, output));
    run = { ...runs.reduce(add), hasCrashed: true };
  }
  const { summary, failures, cpuSeconds } = run;
  return { name: job.name, summary, failures, cpuSeconds, seconds: (performance.now() - startMs) / 1000 };
}

/** A run without a summary at its end has crashed or hung, which counts as one failed test. */
async function runFiles(
  job: Job,
  files: readonly string[],
  prefix: readonly string[],
  output: Output,
): Promise<Run & { readonly hasCrashed: boolean }> {
  const options = [`--timeout=${job.testTimeoutMs}`, `--max-concurrency=${CONCURRENT_TESTS}`];
  const command = [process.execPath, "test", ...options, ...files.map((file) => `./${file}`)];
  const child = Bun.spawn([...prefix, ...command], {
    stdio: ["ignore", "inherit", "pipe"],
    env: { ...process.env, TEST_TIMEOUT_MS: String(job.testTimeoutMs) },
    timeout: job.processTimeoutMs,
    killSignal: "SIGKILL",
  });
  const text = await passThrough(child.stderr, output);
  const summary = parseSummary(text, await child.exited);
  const failures = [...new Set(text.match(/^\(fail\) .*/gm))];
  if (summary === null) failures.push(`(fail) ${files.join(", ")} crashed or hung`);
  else if (summary.failed > 0 && failures.length === 0) failures.push(errorOutsideTests(job, text));
  return {
    summary: summary ?? { passed: 0, failed: 1, skipped: 0 },
    failures,
    cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0n) / 1e6,
    hasCrashed: summary === null,
  };
}

/** What a file throws while it is loaded, or after its tests, fails no test. */
function errorOutsideTests(job: Job, text: string): string {
  const file = /^(\S+\.test\.ts):\s+# Unhandled error between tests$/m.exec(text)?.[1] ?? job.name;
  return `(fail) ${file}: an error outside its tests`;
}

function add(a: Run, b: Run): Run {
  return {
    summary: sumUp(a.summary, b.summary),
    failures: [...a.failures, ...b.failures],
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
  };
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
