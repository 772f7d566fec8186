/** The Debian package: a tree of files with their modes, put together by dpkg-deb. */
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { SCRIPTS } from "../../src/cli/completion/scripts.ts";
import { manualPages } from "../man/manual-pages.ts";
import { readCommitTime } from "./commit-time.ts";
import { changelogText, controlText, copyrightText } from "./documents.ts";

/** The executable of each; Debian's amd64 includes machines without AVX2. */
export const ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: "linux-x64-baseline",
  arm64: "linux-arm64",
};

const FILES = "build/debian/files";
const CONFIG = "etc/portmesh/portmesh.toml";

export interface PackageOptions {
  readonly executable: string;
  readonly architecture: string;
  readonly version: string;
  /** Little compression. */
  readonly isFast: boolean;
  readonly outfile: string;
  readonly workDirectory: string;
}

interface PackagedFile {
  readonly text: string | Buffer;
  readonly mode: number;
}

export function packageFile(version: string, architecture: string): string {
  return `portmesh_${version}_${architecture}.deb`;
}

export async function buildPackage(options: PackageOptions): Promise<void> {
  const seconds = await readCommitTime();
  const root = join(options.workDirectory, "root");
  const files = packagedFiles(options.version, seconds);
  for (const [path, { text, mode }] of Object.entries(files)) write(join(root, path), text, mode);
  const program = join(root, "usr/bin/portmesh");
  mkdirSync(dirname(program), { recursive: true, mode: 0o755 });
  copyFileSync(options.executable, program);
  chmodSync(program, 0o755);
  writeControl(root, [...Object.keys(files), "usr/bin/portmesh"], options);
  await runDpkgDeb(root, seconds, options);
}

function packagedFiles(version: string, seconds: number): Record<string, PackagedFile> {
  const date = new Date(seconds * 1000).toISOString().slice(0, 10);
  const manual = Object.entries(manualPages({ date, version })).map(([name, text]) => [
    `usr/share/man/man${name.at(-1)}/${name}.gz`,
    plain(compress(text)),
  ]);
  return {
    ...Object.fromEntries(manual),
    [CONFIG]: { text: readFileSync(`${FILES}/portmesh.toml`), mode: 0o640 },
    "usr/lib/systemd/system/portmesh.service": plain(readFileSync("config/systemd/portmesh.service")),
    "usr/lib/sysusers.d/portmesh.conf": plain(readFileSync(`${FILES}/sysusers.conf`)),
    "usr/lib/tmpfiles.d/portmesh.conf": plain(readFileSync(`${FILES}/tmpfiles.conf`)),
    "usr/share/bash-completion/completions/portmesh": plain(SCRIPTS.bash),
    "usr/share/zsh/vendor-completions/_portmesh": plain(SCRIPTS.zsh),
    "usr/share/fish/vendor_completions.d/portmesh.fish": plain(SCRIPTS.fish),
    "usr/share/doc/portmesh/copyright": plain(copyrightText()),
    "usr/share/doc/portmesh/changelog.gz": plain(compress(changelogText(version, seconds))),
    "usr/share/lintian/overrides/portmesh": plain(readFileSync(`${FILES}/lintian-overrides`)),
  };
}

function plain(text: string | Buffer): PackagedFile {
  return { text, mode: 0o644 };
}

/** Without a time and a name, so that the same text gives the same bytes. */
function compress(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

function writeControl(root: string, paths: readonly string[], options: PackageOptions): void {
  const sums = paths
    .filter((path) => path !== CONFIG)
    .sort()
    .map((path) => `${md5(join(root, path))}  ${path}\n`);
  const bytes = paths.reduce((sum, path) => sum + readFileSync(join(root, path)).length, 0);
  const control = controlText({ ...options, installedKilobytes: Math.ceil(bytes / 1024) });
  write(join(root, "DEBIAN/control"), control, 0o644);
  write(join(root, "DEBIAN/conffiles"), `/${CONFIG}\n`, 0o644);
  write(join(root, "DEBIAN/md5sums"), sums.join(""), 0o644);
  for (const script of ["postinst", "prerm", "postrm"]) {
    write(join(root, "DEBIAN", script), readFileSync(join(FILES, script)), 0o755);
  }
}

function md5(path: string): string {
  return createHash("md5").update(readFileSync(path)).digest("hex");
}

function write(path: string, text: string | Buffer, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, text);
  chmodSync(path, mode); // whatever the umask
}

/** One thread: with several, the bytes of xz depend on how many there are. */
async function runDpkgDeb(root: string, seconds: number, options: PackageOptions): Promise<void> {
  const compression = options.isFast ? ["-Zgzip", "-z1"] : ["-Zxz", "-z6", "--threads-max=1"];
  const dpkg = Bun.spawn(
    ["dpkg-deb", "--root-owner-group", ...compression, "--build", root, options.outfile],
    {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  if ((await dpkg.exited) !== 0) throw new Error(`cannot build ${options.outfile}: dpkg-deb failed`);
}
