/**
 * Packages of a Debian release, of any architecture, downloaded by apt: it checks signatures, and a state directory of
 * our own leaves that of the machine alone. Needs apt-get, dpkg-deb and the package debian-archive-keyring.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR = "http://deb.debian.org";
/** Package lists of this age are not fetched again. */
const LISTS_ARE_NEW_MS = 60 * 60_000;

export interface DebianRelease {
  /** "bookworm" */
  readonly suite: string;
  /** "amd64" */
  readonly architecture: string;
  /** Directory for package lists and packages; what is there already is not downloaded again. */
  readonly cache: string;
}

/**
 * Downloads and unpacks the newest version of each package. Gives their directories, in the order of `names`; the
 * package's control file is DEBIAN/control there.
 */
export async function unpackPackages(release: DebianRelease, names: readonly string[]): Promise<string[]> {
  const directory = resolve(release.cache, `${release.suite}-${release.architecture}`);
  const packages = join(directory, "packages");
  const nothing = join(directory, "nothing");
  for (const path of ["lists/partial", "cache/archives/partial", "packages", "nothing"]) {
    mkdirSync(join(directory, path), { recursive: true });
  }
  const apt = ["apt-get", "-qq", ...stateOptions(release, directory, nothing)];
  await update(apt, directory, nothing);
  const listed = await run([...apt, "--print-uris", "download", ...names], nothing);
  const files = [...listed.matchAll(/^'\S+' (\S+\.deb) /gm)].map((match) => decodeURIComponent(match[1]!));
  removeOthers(packages, names, files);
  await run([...apt, "download", ...names], packages);
  return Promise.all(
    names.map((name) => unpack(packages, files.find((file) => file.startsWith(`${name}_`))!)),
  );
}

async function update(apt: readonly string[], directory: string, cwd: string): Promise<void> {
  const stamp = join(directory, "updated");
  const updatedAtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (Date.now() - updatedAtMs < LISTS_ARE_NEW_MS) return;
  await run([...apt, "update"], cwd);
  writeFileSync(stamp, "");
}

function stateOptions({ suite, architecture }: DebianRelease, directory: string, nothing: string): string[] {
  const status = join(directory, "status");
  const sources = join(directory, "sources.list");
  writeFileSync(status, "");
  writeFileSync(
    sources,
    [`debian ${suite}`, `debian ${suite}-updates`, `debian-security ${suite}-security`]
      .map((source) => `deb [signed-by=${KEYRING}] ${MIRROR}/${source} main\n`)
      .join(""),
  );
  return [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    "APT::Sandbox::User=root",
    `Dir::State=${directory}`,
    `Dir::State::status=${status}`,
    `Dir::Cache=${join(directory, "cache")}`,
    `Dir::Etc::sourcelist=${sources}`,
    `Dir::Etc::sourceparts=${nothing}`,
  ].flatMap((option) => ["-o", option]);
}

/** Older versions of the packages. */
function removeOthers(packages: string, names: readonly string[], files: readonly string[]): void {
  for (const entry of readdirSync(packages)) {
    const isOfThese = names.some((name) => entry.startsWith(`${name}_`));
    const isCurrent = files.some((file) => entry === file || entry === unpackedName(file));
    if (isOfThese && !isCurrent) rmSync(join(packages, entry), { recursive: true });
  }
}

async function unpack(packages: string, file: string): Promise<string> {
  const target = join(packages, unpackedName(file));
  if (existsSync(target)) return target;
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  await run(["dpkg-deb", "--raw-extract", file, partial], packages);
  renameSync(partial, target);
  return target;
}

function unpackedName(file: string): string {
  return `${file}.unpacked`;
}

async function run(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed: ${errors.trim()}`);
  return text;
}
