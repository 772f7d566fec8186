/** The compiled portmesh, and making sure that it is the one of the sources. */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ProxyProgram, ProxySetup, Route } from "./proxy.ts";

export const portmeshBinary = resolve("dist/portmesh");

export const portmesh: ProxyProgram = {
  name: "portmesh",
  unavailable: () => (existsSync(portmeshBinary) ? undefined : "dist/portmesh could not be built"),
  prepare(setup) {
    const file = join(setup.directory, "portmesh.toml");
    writeFileSync(file, configuration(setup));
    return { commands: [[portmeshBinary, "run", "-c", file]] };
  },
};

/** Runs `npm run build` if the executable is missing or older than a source file. */
export function buildIfStale(): void {
  if (existsSync(portmeshBinary) && statSync(portmeshBinary).mtimeMs >= newestMs("src")) return;
  // Its output is progress, not part of the report: stdout goes to stderr.
  Bun.spawnSync(["npm", "run", "build"], { stdio: ["ignore", 2, 2] });
}

function newestMs(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return Math.max(...files.map((file) => statSync(join(folder, file)).mtimeMs));
}

function configuration({ routes, workers, directory }: ProxySetup): string {
  return `[node]
data_dir = "${directory}/data"
[proxy]
workers = ${workers}
[admin]
socket = "${directory}/portmesh.sock"
[log]
level = "warn"
${routes.map(service).join("")}`;
}

function service(route: Route): string {
  const suffix = route.protocol === "udp" ? "/udp" : "";
  return `[[services]]
name = "${route.name}"
publish = ["${route.listenPort}:${route.targetPort}${suffix}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
`;
}
