/** Builds the Debian package with the executable under test, quickly. */
import { EXECUTABLE } from "../node/node-process.ts";

export const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";
/** That the tests' Debian has beyond the smallest system. */
export const DEBIAN_PACKAGES = ["systemd"];

/** Gives the path of the package. */
export async function buildDebianPackage(version: string, outdir: string): Promise<string> {
  const options = ["--fast", "--outdir", outdir, "--executable", EXECUTABLE, "--version", version];
  const child = Bun.spawn([process.execPath, "build/deb.ts", ...options, ARCHITECTURE], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (exitCode !== 0) throw new Error(`cannot build the package: ${stderr}`);
  return stdout.trim();
}
