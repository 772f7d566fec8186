/**
 * A program says whether the task works: exit code 0. It runs in a process group of its own, which is killed with whatever
 * it has started when the probe ends. Its environment is not that of the node, which may hold secrets.
 */
import { spawn } from "node:child_process";
import { type ExecCheck, showValue } from "../../model/index.ts";
import { down, type ProbeResult, readDrain, up } from "../probe-result.ts";
import { reasonOf } from "./connection.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_OUTPUT_BYTES = 64 * 1024;

/** What the program learns of the task, in its environment. */
export interface ExecTask {
  readonly service: string;
  readonly name: string;
  /** IP address or DNS name. */
  readonly host: string;
  readonly port: number;
}

export function probeExec(
  { command: [program = "", ...args] }: ExecCheck,
  task: ExecTask,
  signal: AbortSignal,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: "/",
      detached: true, // setsid: a group of its own
      env: {
        PATH,
        PORTMESH_SERVICE: task.service,
        PORTMESH_TASK: task.name,
        PORTMESH_HOST: task.host,
        PORTMESH_PORT: String(task.port),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const end = (result: ProbeResult) => {
      resolve(result);
      killGroup(child.pid);
    };
    let output = Buffer.alloc(0);
    const collect = (chunk: Buffer) => {
      output = Buffer.concat([output, chunk]);
      if (output.length > MAX_OUTPUT_BYTES) end(down(`more than ${MAX_OUTPUT_BYTES / 1024} KiB of output`));
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error) => end(down(`cannot start ${program}: ${reasonOf(error)}`)));
    child.on("exit", () => killGroup(child.pid)); // what it has left behind holds its output open
    child.on("close", (code, endSignal) => end(judge(code, endSignal, output.toString())));
    signal.addEventListener("abort", () => end(down("called off")), { once: true });
  });
}

function judge(code: number | null, signal: string | null, output: string): ProbeResult {
  const drain = readDrain(output);
  if (drain !== null) return drain;
  if (code === 0) return up("exit code 0");
  const [line = ""] = output.trim().split(/[\r\n]/, 1);
  const said = line === "" ? "" : `: ${showValue(line)}`;
  return down(`${code === null ? `killed by ${signal}` : `exit code ${code}`}${said}`);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it is empty
  }
}
