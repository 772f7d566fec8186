/**
 * A tiny HTTP task in a process of its own, so that it can be killed: `bun web-task.ts NAME ADDRESS PORT`. Without
 * arguments this file is what starts it.
 */
import { resolve } from "node:path";
import { waitFor } from "../time/wait-for.ts";

/** wrk takes the end of a connection that was not announced for a failure. */
const CLOSE = { headers: { connection: "close" } };
const SELF = resolve("test/support/load/web-task.ts");

export interface WebTask {
  readonly name: string;
  readonly port: number;
  kill(): Promise<void>;
}

/** Where it runs; on this machine's loopback by default. */
export interface WebTaskPlace {
  readonly address?: string;
  /** In front of the command, for example a network namespace. */
  readonly wrapper?: readonly string[];
}

/** Resolves when it answers. */
export async function startWebTask(
  name: string,
  port: number,
  { address = "127.0.0.1", wrapper = [] }: WebTaskPlace = {},
): Promise<WebTask> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, name, address, String(port)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const answers = () =>
    fetch(`http://${address}:${port}/`).then(
      () => true,
      () => false,
    );
  await waitFor(answers, { what: `task ${name} to answer` });
  return {
    name,
    port,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

if (import.meta.main) {
  const [name, address, port] = process.argv.slice(2) as [string, string, string];
  Bun.serve({ hostname: address, port: Number(port), fetch: () => new Response(name, CLOSE) });
}
