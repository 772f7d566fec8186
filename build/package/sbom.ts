/**
 * The bill of materials of a release, CycloneDX 1.5: the executables, the npm packages compiled into them, as npm lists
 * them, and what npm does not know: the runtime and the libraries inside it. The same commit gives the same text.
 */
import { createHash } from "node:crypto";
import packageJson from "../../package.json" with { type: "json" };
import { RUNTIME_COMPONENTS } from "./runtime-components.ts";
import { runtimeIntegrity } from "./runtimes.ts";
import type { Target } from "./targets.ts";

interface Executable {
  readonly target: Target;
  readonly file: string;
  /** In hexadecimal. */
  readonly sha256: string;
}

interface Component {
  readonly "bom-ref": string;
  readonly [key: string]: unknown;
}

interface NpmBill {
  metadata: { tools: unknown; [key: string]: unknown };
  components: (Component & {
    readonly properties?: readonly { readonly name: string; readonly value: string }[];
  })[];
  dependencies: { ref: string; dependsOn: string[] }[];
  [key: string]: unknown;
}

const PRODUCT = `portmesh@${packageJson.version}`;
const BUN = packageJson.devDependencies.bun;

export async function describeRelease(executables: readonly Executable[]): Promise<string> {
  const npm = await askNpm();
  const libraries = runtimeLibraries();
  const runtimes = executables.map(({ target }) => describeRuntime(target));
  const files = executables.map(describeExecutable);
  const bill = {
    ...npm,
    serialNumber: serialNumber(executables),
    metadata: {
      ...(await readCommitTime()),
      lifecycles: [{ phase: "build" }],
      component: {
        "bom-ref": PRODUCT,
        type: "application",
        name: "portmesh",
        version: packageJson.version,
        description: packageJson.description,
        licenses: [{ license: { id: packageJson.license } }],
        purl: `pkg:npm/portmesh@${packageJson.version}`,
      },
    },
    components: [...npm.components, ...files, ...runtimes, ...libraries],
    dependencies: [
      ...npm.dependencies,
      ...executables.map(({ target, file }) => ({ ref: file, dependsOn: [PRODUCT, runtimeRef(target)] })),
      ...runtimes.map((runtime) => ({
        ref: runtime["bom-ref"],
        dependsOn: libraries.map((library) => library["bom-ref"]),
      })),
    ],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

function describeExecutable({ file, sha256 }: Executable): Component {
  return { "bom-ref": file, type: "file", name: file, hashes: [{ alg: "SHA-256", content: sha256 }] };
}

function describeRuntime(target: Target): Component {
  const [algorithm, digest] = runtimeIntegrity(target).split("-") as [string, string];
  if (algorithm !== "sha512") throw new Error(`${target.runtime}: the lock file has no sha512`);
  return {
    "bom-ref": runtimeRef(target),
    type: "platform",
    name: target.runtime,
    version: BUN,
    licenses: [{ license: { id: "MIT" } }],
    purl: `pkg:npm/${target.runtime.replace("@", "%40")}@${BUN}`,
    hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }],
  };
}

function runtimeLibraries(): Component[] {
  const versions: Record<string, string | undefined> = process.versions;
  return RUNTIME_COMPONENTS.map(({ name, license, versionKey }) => {
    const version = versionKey === null ? undefined : versions[versionKey];
    return {
      "bom-ref": `bun@${BUN}/${name}`,
      type: "library",
      name,
      ...(version === undefined ? {} : { version }),
      licenses: [{ expression: license }],
    };
  });
}

function runtimeRef(target: Target): string {
  return `${target.runtime}@${BUN}`;
}

/** Not with --omit=dev: that leaves out packages of the program that a package for development needs beside itself. */
async function askNpm(): Promise<NpmBill> {
  const npm = Bun.spawn(["npm", "sbom", "--sbom-format=cyclonedx", "--package-lock-only"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const text = await npm.stdout.text();
  if ((await npm.exited) !== 0) throw new Error("cannot list the packages: npm sbom failed");
  return withoutDevelopment(JSON.parse(text));
}

function withoutDevelopment(bill: NpmBill): NpmBill {
  const isForDevelopment = ({ properties = [] }: NpmBill["components"][number]) =>
    properties.some(({ name, value }) => name === "cdx:npm:package:development" && value === "true");
  const omitted = new Set(bill.components.filter(isForDevelopment).map((component) => component["bom-ref"]));
  return {
    ...bill,
    components: bill.components.filter((component) => !omitted.has(component["bom-ref"])),
    dependencies: bill.dependencies
      .filter(({ ref }) => !omitted.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => !omitted.has(other)) })),
  };
}

/** A UUID of the executables' hashes (version 8: what the bits mean is ours). [RFC 9562 §5.8] */
function serialNumber(executables: readonly Executable[]): string {
  const hash = createHash("sha256")
    .update(executables.map(({ sha256 }) => sha256).join())
    .digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const digits = hash.toString("hex");
  const parts = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20)];
  return `urn:uuid:${parts.join("-")}-${digits.slice(20, 32)}`;
}

/** The time of the build would differ in every build. Outside a repository there is none. */
async function readCommitTime(): Promise<{ timestamp?: string }> {
  const git = Bun.spawn(["git", "log", "-1", "--format=%ct"], { stdio: ["ignore", "pipe", "ignore"] });
  const seconds = Number(await git.stdout.text());
  return seconds > 0 ? { timestamp: new Date(seconds * 1000).toISOString() } : {};
}
