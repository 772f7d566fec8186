/** What is in the container image, without an engine: files, rights, settings, platforms. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { buildImage, testImage } from "../support/container/test-image.ts";
import { lacks } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
}

interface ImageConfig {
  readonly architecture: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Volumes: object;
    readonly Healthcheck: { readonly Test: readonly string[] };
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

const LIBRARIES = {
  amd64: { loader: "lib64/ld-linux-x86-64.so.2", directory: "lib/x86_64-linux-gnu", machine: 62 },
  arm64: { loader: "lib/ld-linux-aarch64.so.1", directory: "lib/aarch64-linux-gnu", machine: 183 },
} as const;
const SHARED_OBJECTS = ["libc.so.6", "libcrypto.so.3", "libdl.so.2", "libm.so.6", "libpthread.so.0"];
/** e_machine of an ELF file [ELF-64 object file format] */
const MACHINE_AT = 18;

const isLacking = lacks("apt-get", "dpkg-deb", "tar");
const directory = tempDir();
afterAll(() => directory[Symbol.dispose]());

/** With stand-ins for the executables, which make building and reading quick. */
const both = directory.file("both.tar");
const executables = { amd64: directory.file("amd64"), arm64: directory.file("arm64") };
beforeAll(async () => {
  for (const [platform, path] of Object.entries(executables)) writeFileSync(path, `for ${platform}`);
  if (!isLacking) await buildImage(both, executables);
});

async function tar(args: readonly string[], input?: Uint8Array): Promise<Buffer> {
  const child = Bun.spawn(["tar", ...args], { stdin: input ?? "ignore", stdout: "pipe", stderr: "inherit" });
  const bytes = Buffer.from(await child.stdout.bytes());
  expect(await child.exited).toBe(0);
  return bytes;
}

async function readJson<T>(archive: string, path: string): Promise<T> {
  return JSON.parse((await tar(["-xOf", archive, path])).toString()) as T;
}

/** Checks its digest and size. */
async function readBlob(archive: string, { digest, size }: Descriptor): Promise<Buffer> {
  const content = await tar(["-xOf", archive, `blobs/${digest.replace(":", "/")}`]);
  expect(content.length).toBe(size);
  expect(`sha256:${new Bun.CryptoHasher("sha256").update(content).digest("hex")}`).toBe(digest);
  return content;
}

async function readImages(
  archive: string,
): Promise<{ config: ImageConfig; layer: Buffer; platform: string }[]> {
  const top = await readJson<{ manifests: Descriptor[] }>(archive, "index.json");
  expect(top.manifests.map(({ mediaType }) => mediaType)).toEqual([
    "application/vnd.oci.image.index.v1+json",
  ]);
  const index = JSON.parse((await readBlob(archive, top.manifests[0]!)).toString()) as {
    manifests: Descriptor[];
  };
  return Promise.all(
    index.manifests.map(async (descriptor) => {
      const manifest = JSON.parse((await readBlob(archive, descriptor)).toString());
      const config = JSON.parse((await readBlob(archive, manifest.config)).toString()) as ImageConfig;
      expect(manifest.layers).toHaveLength(1);
      const layer = Buffer.from(Bun.gunzipSync(new Uint8Array(await readBlob(archive, manifest.layers[0]))));
      const diffId = `sha256:${new Bun.CryptoHasher("sha256").update(layer).digest("hex")}`;
      expect(config.rootfs.diff_ids).toEqual([diffId]);
      const platform = `${descriptor.platform!.os}/${descriptor.platform!.architecture}`;
      return { config, layer, platform };
    }),
  );
}

test.skipIf(isLacking)("amd64 and arm64 are in one index, each with its own libraries", async () => {
  const images = await readImages(both);
  expect(images.map(({ platform }) => platform)).toEqual(["linux/amd64", "linux/arm64"]);
  for (const { config, layer } of images) {
    const { loader, directory, machine } = LIBRARIES[config.architecture as keyof typeof LIBRARIES];
    for (const path of [loader, ...SHARED_OBJECTS.map((name) => `${directory}/${name}`)]) {
      const file = await tar(["-xOf", "-", path], layer);
      expect([path, file.readUInt16LE(MACHINE_AT)]).toEqual([path, machine]);
    }
  }
});

test.skipIf(isLacking)(
  "a layer holds the executable and what it needs, and only its data directory is its user's",
  async () => {
    const [image] = await readImages(await testImage());
    const lines = (await tar(["--numeric-owner", "-tvf", "-"], image!.layer)).toString().trim().split("\n");
    const entries = lines.map((line) => {
      const [mode, owner] = line.split(/\s+/) as [string, string];
      return { mode, owner, path: line.split(/\s+/).at(-1)! };
    });
    const files = entries.filter(({ mode }) => !mode.startsWith("d")).map(({ path }) => path);
    const { loader, directory } = LIBRARIES[image!.config.architecture as keyof typeof LIBRARIES];
    expect(files).toEqual(
      [
        "etc/portmesh/portmesh.toml",
        loader,
        ...SHARED_OBJECTS.map((name) => `${directory}/${name}`),
        "usr/bin/portmesh",
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/libssl3/copyright",
        "var/lib/dpkg/status.d/libc6",
        "var/lib/dpkg/status.d/libssl3",
      ].sort(),
    );
    expect(entries.filter(({ owner }) => owner !== "0/0")).toEqual([
      { mode: "drwx------", owner: "65532/65532", path: "var/lib/portmesh" },
    ]);
    expect(entries.filter(({ mode, path }) => /w.$/.test(mode) && path !== "tmp")).toEqual([]);
  },
);

test.skipIf(isLacking)(
  "the image runs as a user without rights, has one volume, and says what it is",
  async () => {
    const [image] = await readImages(await testImage());
    const { User, Env, Volumes, Healthcheck, Labels } = image!.config.config;
    expect(User).toBe("65532:65532");
    expect(Object.keys(Volumes)).toEqual(["/var/lib/portmesh"]);
    expect(Env).toEqual(["PATH=/usr/bin"]);
    expect(Healthcheck.Test).toEqual(["CMD", "/usr/bin/portmesh", "health"]);
    for (const name of ["title", "description", "version", "revision", "licenses"]) {
      expect(Labels[`org.opencontainers.image.${name}`]).toBeTruthy();
    }
  },
);

test.skipIf(isLacking)("two builds are the same bytes", async () => {
  const again = directory.file("again.tar");
  await buildImage(again, executables);
  const hashes = await Promise.all([both, again].map((path) => hashOf(path)));
  expect(hashes[1]).toBe(hashes[0]!);
});

async function hashOf(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
}
