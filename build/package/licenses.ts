/**
 * The licences of everything in the executable: portmesh, the npm packages compiled into it, and the runtime with its
 * libraries. `portmesh version --licenses` prints the text.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { RUNTIME_COMPONENTS } from "./runtime-components.ts";

export const LICENSES_FILE = "THIRD-PARTY-LICENSES.txt";

const RUNTIME_TEXTS = "build/package/runtime-licenses";
/** The runtime's own list; its version is that of the runtime. */
const RUNTIME_LIST = "node_modules/bun-types/docs/project/license.mdx";
const LINE = "=".repeat(80);

interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly directory: string;
}

export function collectLicenses(): string {
  const bun = packageJson.devDependencies.bun;
  return [
    section(`portmesh ${packageJson.version}: ${packageJson.license}`, readFileSync("LICENSE", "utf8")),
    ...bundledPackages().map(({ name, version, license, directory }) =>
      section(`${name} ${version}: ${license}`, readLicense(name, directory)),
    ),
    section(`Bun ${bun}, the runtime: MIT`, readRuntimeList()),
    ...RUNTIME_COMPONENTS.filter(({ text }) => text !== null).map(({ name, license, text }) =>
      section(`${name}, in the runtime: ${license}`, readFileSync(join(RUNTIME_TEXTS, text!), "utf8")),
    ),
  ].join("\n");
}

/** What package-lock.json installs without the development dependencies. */
export function bundledPackages(): BundledPackage[] {
  const lock: { packages: Record<string, { version: string; license: string; dev?: boolean }> } = JSON.parse(
    readFileSync("package-lock.json", "utf8"),
  );
  return Object.entries(lock.packages)
    .filter(([directory, { dev: isForDevelopment }]) => directory !== "" && !isForDevelopment)
    .map(([directory, { version, license }]) => ({
      name: directory.slice(directory.lastIndexOf("node_modules/") + "node_modules/".length),
      version,
      license,
      directory,
    }));
}

/** "boringssl", "brotli", …: the libraries that the runtime's list says it links on Linux. */
export function listedLibraries(): string[] {
  const linked = readRuntimeList().split("## Linked libraries")[1]!.split("##")[0]!;
  return [...linked.matchAll(/^\| .*?\[`([^`]+)`\]\(\S+\)(.*?)\|/gm)]
    .filter(([, , rest]) => rest!.trim() !== "(on Windows)")
    .map(([, name]) => name!);
}

function readRuntimeList(): string {
  return readFileSync(RUNTIME_LIST, "utf8").replace(/^---\n.*?\n---\n/s, "");
}

function readLicense(name: string, directory: string): string {
  const file = existsSync(directory) && readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`cannot find the licence of ${name}: no file LICENSE in ${directory}`);
  return readFileSync(join(directory, file), "utf8");
}

function section(title: string, text: string): string {
  const plain = text.replace(/\r\n|\f/g, "\n").trim(); // what a terminal shows as it is
  return `${LINE}\n${title}\n${LINE}\n\n${plain}\n`;
}
