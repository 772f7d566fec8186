/**
 * What is in the image: the executable, the libraries it is linked with, libcrypto (which makes sealing short messages
 * faster), one configuration file, and the data directory. No shell, no users, no package manager.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { unpackPackages } from "./debian-packages.ts";
import type { LayerEntry } from "./layer.ts";

export type Platform = "amd64" | "arm64";

export const PORTMESH_USER = 65_532;
export const DATA_DIR = "/var/lib/portmesh";

const SUITE = "bookworm";
/** Where each of them expects its dynamic loader, and Debian's name of its library directory. */
const LAYOUT: Readonly<Record<Platform, { readonly loader: string; readonly triplet: string }>> = {
  amd64: { loader: "/lib64/ld-linux-x86-64.so.2", triplet: "x86_64-linux-gnu" },
  arm64: { loader: "/lib/ld-linux-aarch64.so.1", triplet: "aarch64-linux-gnu" },
};
const LIBC_FILES = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"];
const CRYPTO_FILES = ["libcrypto.so.3"];

export interface ImageFiles {
  readonly entries: readonly LayerEntry[];
  /** "libc6 2.36-9+deb12u14" */
  readonly libraries: readonly string[];
}

/** @param cache directory for downloaded packages */
export async function imageFiles(platform: Platform, executable: string, cache: string): Promise<ImageFiles> {
  const { loader, triplet } = LAYOUT[platform];
  const release = { suite: SUITE, architecture: platform, cache };
  const [libc, libssl] = (await unpackPackages(release, ["libc6", "libssl3"])) as [string, string];
  const libraries = `/lib/${triplet}`;
  const entries = [
    file("/usr/bin/portmesh", 0o755, executable),
    file("/etc/portmesh/portmesh.toml", 0o644, "config/image/portmesh.toml"),
    file(loader, 0o755, join(libc, libraries, basename(loader))),
    ...LIBC_FILES.map((name) => file(`${libraries}/${name}`, 0o755, join(libc, libraries, name))),
    ...CRYPTO_FILES.map((name) => file(`${libraries}/${name}`, 0o644, join(libssl, "usr", libraries, name))),
    ...[libc, libssl].flatMap(packageEntries),
    { path: DATA_DIR, mode: 0o700, owner: PORTMESH_USER, content: null },
    { path: "/tmp", mode: 0o1777, owner: 0, content: null },
  ];
  return {
    entries,
    libraries: [libc, libssl].map((path) => `${fieldOf(path, "Package")} ${fieldOf(path, "Version")}`),
  };
}

function file(path: string, mode: number, source: string): LayerEntry {
  return { path, mode, owner: 0, content: readFileSync(source) };
}

/** Its licence, and its control file where vulnerability scanners look for packages of an image without dpkg. */
function packageEntries(unpacked: string): LayerEntry[] {
  const name = fieldOf(unpacked, "Package");
  const copyright = `/usr/share/doc/${name}/copyright`;
  return [
    file(copyright, 0o644, join(unpacked, copyright)),
    file(`/var/lib/dpkg/status.d/${name}`, 0o644, join(unpacked, "DEBIAN/control")),
  ];
}

function fieldOf(unpacked: string, field: string): string {
  const control = readFileSync(join(unpacked, "DEBIAN/control"), "utf8");
  return new RegExp(`^${field}: (.*)$`, "m").exec(control)![1]!;
}
