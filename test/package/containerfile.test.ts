/**
 * buildah, which needs no engine: it takes the image of `npm run image`, and builds the same one from the recipe. Debian is
 * what debootstrap installs instead of an image of a registry.
 */
import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { testImage } from "../support/container/test-image.ts";
import { DebianRoot } from "../support/os/debian-root.ts";
import { lacks, skip } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { DEBIAN_PACKAGES } from "../support/package/debian-package.ts";

const RECIPE = "config/recipes/Containerfile";
const SOURCES = ["debian bookworm", "debian bookworm-updates", "debian-security bookworm-security"];
const BASE = "FROM scratch\nADD root.tar /\nCOPY sources.list /etc/apt/sources.list\n";

const isLacking =
  lacks("buildah", "debootstrap", "apt-get", "dpkg-deb") ||
  (process.getuid!() !== 0 && skip("buildah without root needs more than this machine may have"));
const directory = tempDir();
afterAll(() => directory[Symbol.dispose]());

async function run(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

function buildah(...args: string[]): Promise<string> {
  const storage = ["--root", directory.file("storage"), "--runroot", directory.file("run")];
  return run(["buildah", "--storage-driver", "vfs", ...storage, ...args]);
}

interface Image {
  /** Path, mode, owner, kind; and hashes of the files. */
  readonly files: string;
  readonly config: object;
}

async function readImage(name: string): Promise<Image> {
  const container = (await buildah("from", "--quiet", name)).trim();
  const mounted = (await buildah("mount", container)).trim();
  const list = "find . -printf '%p %m %U:%G %y\\n' | sort; find . -type f | sort | xargs sha256sum";
  const files = await run(["sh", "-c", `cd ${mounted} && { ${list}; }`]);
  const { Docker } = JSON.parse(await buildah("inspect", "--type", "image", name)) as {
    Docker: { config: object };
  };
  return { files, config: Docker.config };
}

test.skipIf(isLacking)("the recipe builds the image of `npm run image`", async () => {
  const context = directory.file("base");
  mkdirSync(context);
  linkSync(await DebianRoot.archive(DEBIAN_PACKAGES), `${context}/root.tar`);
  const sources = SOURCES.map((source) => `deb http://deb.debian.org/${source} main\n`).join("");
  writeFileSync(`${context}/sources.list`, sources);
  writeFileSync(directory.file("Containerfile"), BASE);
  await buildah(
    "bud",
    "--isolation",
    "chroot",
    "-f",
    directory.file("Containerfile"),
    "-t",
    "debian",
    context,
  );

  const image = await testImage();
  const ours = await readImage((await buildah("pull", "--quiet", `oci-archive:${image}`)).trim());
  const { Labels } = ours.config as { Labels: Record<string, string> };
  const values = {
    DEBIAN: "localhost/debian",
    EXECUTABLE: "dist/portmesh",
    REVISION: Labels["org.opencontainers.image.revision"],
  };
  const options = Object.entries(values).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
  await buildah(
    "bud",
    "--isolation",
    "chroot",
    "--format",
    "docker",
    ...options,
    "-f",
    RECIPE,
    "-t",
    "built",
    ".",
  );
  const built = await readImage("built");
  expect(built.files).toBe(ours.files);
  expect(imageSettings(built)).toEqual(imageSettings(ours));
});

/** Without what is empty and what the builder adds of itself. */
function imageSettings({ config }: Image): object {
  const {
    Labels,
    Hostname: _hostname,
    ...others
  } = config as {
    Labels: Record<string, string>;
    Hostname?: string;
  };
  const { "io.buildah.version": _builder, ...labels } = Labels;
  const isSet = (value: unknown) =>
    value !== null && value !== "" && !(Array.isArray(value) && value.length === 0);
  const set = Object.fromEntries(Object.entries(others).filter(([, value]) => isSet(value)));
  return { ...set, Labels: labels };
}

test("the recipe names the version and the words of package.json", () => {
  const recipe = readFileSync(RECIPE, "utf8");
  const { version, description, license } = JSON.parse(readFileSync("package.json", "utf8"));
  for (const text of [
    `image.version=${version} `,
    `image.description="${description}"`,
    `image.licenses=${license} `,
    `dist/portmesh-${version}-linux-x64-baseline\n`,
    `portmesh:${version} .`,
  ])
    expect(recipe).toContain(text);
});
