/** A small Debian in a directory: what debootstrap installs, entered with chroot. The network is the test's own. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./require-program.ts";

/** What debootstrap has installed, for the next test that wants the same packages. */
const CACHE = "node_modules/.cache/portmesh-debian";
const CACHED_FOR_MS = 12 * 60 * 60_000;

export interface ChrootResult {
  readonly exitCode: number;
  /** Of both. */
  readonly output: string;
}

export class DebianRoot implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** @param packages beyond the smallest system; takes a minute or two, and seconds when they are cached */
  static async create(packages: readonly string[]): Promise<DebianRoot> {
    const path = mkdtempSync(join(tmpdir(), "portmesh-debian-"));
    chmodSync(path, 0o755); // other users enter it
    const root = new DebianRoot(path);
    try {
      await succeed(["tar", "--numeric-owner", "-C", path, "-xpf", await DebianRoot.archive(packages)]);
      mkdirSync(join(path, "proc"), { recursive: true });
      await succeed(["mount", "-t", "proc", "proc", join(path, "proc")]);
    } catch (error) {
      await root[Symbol.asyncDispose]();
      throw error;
    }
    return root;
  }

  /** A tar archive of such a root. */
  static async archive(packages: readonly string[]): Promise<string> {
    const { codename, mirror } = await thisRelease();
    const archive = join(CACHE, `${[codename, ...packages].join("-")}.tar`);
    const madeAtMs = statSync(archive, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - madeAtMs < CACHED_FOR_MS) return archive;
    mkdirSync(CACHE, { recursive: true });
    const path = mkdtempSync(join(tmpdir(), "portmesh-debian-"));
    const partial = `${archive}.${process.pid}`;
    try {
      chmodSync(path, 0o755);
      const include = `--include=${packages.join(",")}`;
      await succeed([findProgram("debootstrap")!, "--variant=minbase", include, codename, path, mirror]);
      await succeed(["tar", "--numeric-owner", "-C", path, "-cf", partial, "."]);
      renameSync(partial, archive);
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
    return archive;
  }

  file(path: string): string {
    return join(this.path, path);
  }

  has(path: string): boolean {
    return existsSync(this.file(path));
  }

  /** A command as root, to its end. */
  run(...command: readonly string[]): Promise<ChrootResult> {
    return run(["chroot", this.path, "/usr/bin/env", ...ENVIRONMENT, ...command]);
  }

  /** A process of another user. */
  start(user: string, ...command: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    return Bun.spawn(["chroot", `--userspec=${user}`, this.path, ...command], {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const proc = join(this.path, "proc");
    if (isMounted(proc)) await run(["umount", "--lazy", proc]);
    if (isMounted(proc)) throw new Error(`${proc} is still mounted`);
    rmSync(this.path, { recursive: true, force: true });
  }
}

const ENVIRONMENT = [
  "-i",
  "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
  "DEBIAN_FRONTEND=noninteractive",
  "LC_ALL=C",
];

async function succeed(command: readonly string[]): Promise<void> {
  const { exitCode, output } = await run(command);
  if (exitCode !== 0) throw new Error(`${command[0]} failed: ${output.slice(-2_000)}`);
}

async function run(command: readonly string[]): Promise<ChrootResult> {
  const child = Bun.spawn([...command], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { exitCode, output: stdout + stderr };
}

function isMounted(path: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(` ${path} `);
}

/** The same release from the same place as this machine. */
async function thisRelease(): Promise<{ codename: string; mirror: string }> {
  const codename = /^VERSION_CODENAME=(\S+)/m.exec(readFileSync("/etc/os-release", "utf8"))![1]!;
  const { output } = await run(["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)"]);
  const line = output.split("\n").find((each) => each.startsWith(`${codename} `));
  if (line === undefined) throw new Error(`apt-get indextargets names no source of ${codename}`);
  return { codename, mirror: line.split(" ")[1]! };
}
