/**
 * Builds the container image, dist/portmesh-image.tar: `bun build/image.ts`. No container engine takes part. Executables are
 * those of `npm run package`; --executable names others, and then only their platforms are in the image:
 * `bun build/image.ts --executable amd64=dist/portmesh --outfile FILE`.
 *
 * Two builds of one commit are the same bytes as long as Debian's libraries are the same versions.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { makeArchive } from "./image/archive.ts";
import { DATA_DIR, imageFiles, type Platform, PORTMESH_USER } from "./image/image-files.ts";
import { makeLayer } from "./image/layer.ts";

const EXECUTABLES: Readonly<Record<Platform, string>> = {
  amd64: `dist/portmesh-${packageJson.version}-linux-x64-baseline`,
  arm64: `dist/portmesh-${packageJson.version}-linux-arm64`,
};
const CACHE = "node_modules/.cache/portmesh-image";
const NANOSECONDS = 1e9;

const { values } = parseArgs({
  options: {
    outfile: { type: "string", default: "dist/portmesh-image.tar" },
    executable: { type: "string", multiple: true },
  },
});
await build(values.outfile, values.executable?.map(parseExecutable) ?? Object.entries(EXECUTABLES));

async function build(outfile: string, executables: readonly (readonly [string, string])[]): Promise<void> {
  const created = new Date(
    Number(process.env.SOURCE_DATE_EPOCH ?? (await git("log", "-1", "--format=%ct"))) * 1000,
  );
  const images = [];
  const libraries: string[] = [];
  for (const [platform, executable] of executables) {
    if (!existsSync(executable)) fail(`${executable} does not exist: run \`npm run package\` first`);
    const files = await imageFiles(platform as Platform, executable, CACHE);
    images.push({ architecture: platform, layer: await makeLayer(files.entries, created) });
    libraries.push(...files.libraries.map((library) => `${library} (${platform})`));
  }
  const { name, version } = packageJson;
  const config = containerConfig(await git("rev-parse", "HEAD"));
  const archive = await makeArchive({ name, tag: version, config, created }, images);
  mkdirSync(dirname(outfile), { recursive: true });
  await Bun.write(outfile, archive);
  const platforms = executables.map(([platform]) => platform).join(", ");
  console.log(`${outfile}: ${name}:${version} for ${platforms}, ${(archive.length / 1e6).toFixed()} MB`);
  console.log(`libraries of Debian: ${libraries.join(", ")}`);
}

function containerConfig(commit: string | null): object {
  return {
    User: `${PORTMESH_USER}:${PORTMESH_USER}`,
    Env: ["PATH=/usr/bin"],
    Entrypoint: ["/usr/bin/portmesh"],
    Cmd: ["run"],
    WorkingDir: DATA_DIR,
    Volumes: { [DATA_DIR]: {} },
    StopSignal: "SIGTERM",
    Healthcheck: {
      Test: ["CMD", "/usr/bin/portmesh", "health"],
      Interval: 10 * NANOSECONDS,
      Timeout: 5 * NANOSECONDS,
      StartPeriod: 10 * NANOSECONDS,
      Retries: 3,
    },
    Labels: {
      "org.opencontainers.image.title": packageJson.name,
      "org.opencontainers.image.description": packageJson.description,
      "org.opencontainers.image.version": packageJson.version,
      "org.opencontainers.image.licenses": packageJson.license,
      ...(commit !== null && { "org.opencontainers.image.revision": commit }),
    },
  };
}

/** "amd64=dist/portmesh" */
function parseExecutable(text: string): [string, string] {
  const [platform, path] = text.split("=") as [string, string | undefined];
  if (!(platform in EXECUTABLES) || path === undefined) {
    fail(`--executable ${text}: expected ${Object.keys(EXECUTABLES).join(" or ")}, "=" and a path`);
  }
  return [platform, path];
}

async function git(...args: string[]): Promise<string | null> {
  const run = Bun.spawn(["git", ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const text = await run.stdout.text();
  return (await run.exited) === 0 ? text.trim() : null;
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
