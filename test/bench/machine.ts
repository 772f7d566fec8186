/** What the numbers were measured on: hardware, kernel and program versions; nothing that names the machine. */
import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { findProgram } from "./process.ts";
import { portmeshBinary } from "./proxies/portmesh.ts";

const GIBIBYTE = 1024 ** 3;

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** By program; only those that are installed. */
  readonly versions: Readonly<Record<string, string>>;
}

/** How each program is asked, and where in its answer the version stands. */
const versionQuestions: Readonly<Record<string, { argument: string; pattern: RegExp }>> = {
  haproxy: { argument: "-v", pattern: /version (\S+)/i },
  nginx: { argument: "-v", pattern: /nginx\/(\S+)/ },
  iperf3: { argument: "--version", pattern: /iperf (\S+)/ },
  wrk: { argument: "-v", pattern: /wrk (\S+)/ },
  dnsperf: { argument: "-h", pattern: /version (\S+)/i },
  nebula: { argument: "-version", pattern: /Version: (\S+)/ },
  "wireguard-go": { argument: "--version", pattern: /wireguard-go v(\S+)/ },
  unbound: { argument: "-V", pattern: /version (\S+)/i },
};

export function describeMachine(): Machine {
  const processors = cpus();
  const programs = Object.entries(versionQuestions).map(([name, question]) => {
    return [name, versionOf(findProgram(name), question.argument, question.pattern)] as const;
  });
  const own = ["portmesh", versionOf(portmeshBinary, "version", /(\d+\.\d+\S*)/)] as const;
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / GIBIBYTE),
    kernel: release(),
    versions: Object.fromEntries([own, ...programs].filter((entry) => entry[1] !== undefined)) as Record<
      string,
      string
    >,
  };
}

function versionOf(program: string | undefined, argument: string, pattern: RegExp): string | undefined {
  if (program === undefined) return undefined;
  const { stdout, stderr } = spawnSync(program, [argument], { encoding: "utf8", timeout: 5000 });
  return pattern.exec(`${stdout}\n${stderr}`)?.[1];
}
