/** wrk with a connection for each request: more of them at once than the clients of http-load.ts open. */
import { findProgram } from "../os/require-program.ts";

const REPORT = "REPORT ";
const SCRIPT = `function done(summary)
  local e = summary.errors
  io.write(string.format('${REPORT}{"requests":%d,"failed":%d}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
`;

export interface WrkCount {
  /** Answered. */
  readonly requests: number;
  readonly failed: number;
}

export async function runWrk(
  url: string,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<WrkCount> {
  const size = ["-t", "1", "-c", String(connections), "-d", `${seconds}s`, "--timeout", "5s"];
  const child = Bun.spawn(
    [findProgram("wrk")!, ...size, "-H", "Connection: close", "-s", "/dev/stdin", url],
    { stdin: Buffer.from(SCRIPT), stdout: "pipe", stderr: "pipe" },
  );
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const line = stdout.split("\n").find((text) => text.startsWith(REPORT));
  if ((await child.exited) !== 0 || line === undefined) throw new Error(`wrk: ${stderr || stdout}`);
  return JSON.parse(line.slice(REPORT.length));
}
