/** Which portmesh this is. The compiler stamps the constants in; from source package.json knows the version. */
import packageJson from "../../package.json" with { type: "json" };
import type { BuildInfo } from "../node/index.ts";

declare const PORTMESH_VERSION: string | undefined;
declare const PORTMESH_COMMIT: string | undefined;
declare const PORTMESH_TARGET: string | undefined;

export function readBuildInfo(): BuildInfo {
  return {
    version: typeof PORTMESH_VERSION === "undefined" ? packageJson.version : PORTMESH_VERSION,
    commit: typeof PORTMESH_COMMIT === "undefined" ? null : PORTMESH_COMMIT,
  };
}

/** "linux-x64-musl": the end of the name of a released executable; null of other builds. */
export function readTarget(): string | null {
  return typeof PORTMESH_TARGET === "undefined" ? null : PORTMESH_TARGET;
}

/** "0.1.0 (56255bb)" */
export function formatBuildInfo({ version, commit }: BuildInfo): string {
  return `${version} (${commit ?? "from source"})`;
}
