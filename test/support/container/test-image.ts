/** The image under test: dist/test-image.tar, with the executable of `npm run build`. Built once for all test files. */
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { ContainerEngine, EngineName } from "./container-engine.ts";

const EXECUTABLE = "dist/portmesh";
const ARCHIVE = "dist/test-image.tar";
const PLATFORM = process.arch === "arm64" ? "arm64" : "amd64";

/** Path of the archive. */
export async function testImage(): Promise<string> {
  const sources = [EXECUTABLE, "build/image.ts", ...new Bun.Glob("{build,config}/image/*").scanSync()];
  const isCurrent = existsSync(ARCHIVE) && sources.every((file) => changedAtMs(file) < changedAtMs(ARCHIVE));
  if (!isCurrent) await buildImage(ARCHIVE, { [PLATFORM]: EXECUTABLE });
  return resolve(ARCHIVE);
}

/** @param executables by platform */
export async function buildImage(
  archive: string,
  executables: Readonly<Record<string, string>>,
): Promise<void> {
  const options = Object.entries(executables).flatMap(([platform, path]) => [
    "--executable",
    `${platform}=${path}`,
  ]);
  const command = [process.execPath, "build/image.ts", "--outfile", archive, ...options];
  const build = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
  if ((await build.exited) !== 0) throw new Error("cannot build the image");
}

/** Loads it into an engine and gives its name there, which the engine prints. */
export async function loadTestImage(engine: ContainerEngine): Promise<string> {
  const printed = await engine.run("load", "--input", await testImage());
  return /Loaded image: (\S+)/.exec(printed)![1]!;
}

/** Programs that the tests with an engine need. */
export const ENGINE_PROGRAMS: Readonly<Record<EngineName, readonly string[]>> = {
  docker: ["dockerd", "docker", "runc", "iptables"],
  podman: ["podman", "runc", "iptables"],
};

function changedAtMs(file: string): number {
  return statSync(file).mtimeMs;
}
