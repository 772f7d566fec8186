/**
 * A tiny HTTP task in a process of its own, so that it can be killed: `bun web-task.ts NAME PORT`. Without arguments
 * this file is the helper that starts it.
 */
import { resolve } from "node:path";
import { waitFor } from "./wait-for.ts";

const SELF = resolve("test/support/web-task.ts");

export interface WebTask {
  readonly name: string;
  readonly port: number;
  kill(): Promise<void>;
}

/** Resolves when it answers. */
export async function startWebTask(name: string, port: number): Promise<WebTask> {
  const child = Bun.spawn([process.execPath, SELF, name, String(port)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  await waitFor(answers, { what: `task ${name} to answer`, deadlineMs: 10_000 });
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
  const [name, port] = process.argv.slice(2);
  Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: () => new Response(name) });
}
