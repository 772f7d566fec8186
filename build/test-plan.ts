/**
 * Which tests run beside which. Pure: names of files in, an order out.
 *
 * Tests of the executable mostly wait, so several of their files run at a time. Unit tests, fuzz and sim compute: they
 * run one after the other beside them. Files that measure run alone, at the end.
 */

export interface Job {
  /** A folder whose files share a process, or one file. */
  readonly name: string;
  readonly files: readonly string[];
  readonly needsOwnNetwork: boolean;
  readonly testTimeoutMs: number;
  /** A blocked system call stops the runner's own timeouts, so the whole process has one. */
  readonly processTimeoutMs: number;
}

export interface Plan {
  /** One after the other, beside the next. */
  readonly computing: readonly Job[];
  /** Several at a time, in this order: what takes longest first. */
  readonly waiting: readonly Job[];
  /** One after the other, when all others are done. */
  readonly alone: readonly Job[];
}

const MINUTE_MS = 60_000;
/** Unit tests first: they fail most often. */
const COMPUTING = ["test/unit", "test/fuzz", "test/sim"];
const WAITING = ["test/net", "test/interop"];
export const TEST_FOLDERS: readonly string[] = [...COMPUTING, ...WAITING];
/** `npm run test:package`: needs more programs, and makes networks and containers of its own. */
export const PACKAGE_FOLDER = "test/package";

/** They measure memory, processor time, or how soon a node under load answers. */
export const ALONE: ReadonlySet<string> = new Set(
  ["config-large", "gossip-flood", "memory", "overlay-hostile", "tcp-resources"].map(
    (name) => `test/net/${name}.test.ts`,
  ),
);

/** Of a quarter of a minute and more, the longest first: one that started late would still run when all others are done. */
export const LONG: readonly string[] = [
  "test/net/mesh-faults.test.ts",
  "test/net/gossip-strangers.test.ts",
  "test/net/address-change.test.ts",
  "test/net/far-meshes.test.ts",
  "test/net/overlay-addresses.test.ts",
  "test/net/firewall.test.ts",
  "test/net/far-nodes.test.ts",
  "test/net/overlay-path.test.ts",
  "test/net/overlay-mesh.test.ts",
  "test/interop/serf-mesh.test.ts",
  "test/interop/prometheus.test.ts",
  "test/net/path-black-hole.test.ts",
  "test/net/far-tasks.test.ts",
  "test/net/tcp-reset.test.ts",
  "test/net/overlay-repairs.test.ts",
  "test/net/overlay-userspace.test.ts",
  "test/net/tcp-dialing.test.ts",
  "test/net/name-servers.test.ts",
  "test/net/mesh-cli.test.ts",
  "test/net/mesh-declarations.test.ts",
  "test/net/doctor-ports.test.ts",
  "test/net/doctor-overlay.test.ts",
  "test/net/relay-tcp-cut.test.ts",
  "test/net/rotating-names.test.ts",
];

/** One after the other: they share the artefacts they build, and the machine's container engines. */
export function planPackageTests(files: readonly string[]): Plan {
  const jobs = files.map((file) => ({
    ...fileJob(file),
    needsOwnNetwork: false,
    testTimeoutMs: 5 * MINUTE_MS,
  }));
  return { computing: [], waiting: [], alone: jobs };
}

export function planTests(files: readonly string[]): Plan {
  const filesIn = (folder: string) => files.filter((file) => file.startsWith(`${folder}/`));
  const single = WAITING.flatMap(filesIn);
  return {
    computing: COMPUTING.map((folder) => folderJob(folder, filesIn(folder))).filter(
      (job) => job.files.length > 0,
    ),
    waiting: longFirst(single.filter((file) => !ALONE.has(file))).map(fileJob),
    alone: single.filter((file) => ALONE.has(file)).map(fileJob),
  };
}

function folderJob(folder: string, files: readonly string[]): Job {
  return {
    name: folder,
    files,
    needsOwnNetwork: false,
    testTimeoutMs: folder === "test/unit" ? MINUTE_MS / 2 : 2 * MINUTE_MS,
    processTimeoutMs: 10 * MINUTE_MS,
  };
}

function fileJob(file: string): Job {
  return {
    name: file,
    files: [file],
    needsOwnNetwork: true,
    testTimeoutMs: 2 * MINUTE_MS,
    processTimeoutMs: 10 * MINUTE_MS,
  };
}

function longFirst(files: readonly string[]): string[] {
  return [...LONG.filter((file) => files.includes(file)), ...files.filter((file) => !LONG.includes(file))];
}
