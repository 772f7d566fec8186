/**
 * Sends datagrams that nobody has asked for: `bun hostile-sender.ts FROM TO PORT`, then a line of JSON on its input:
 * hex texts to send once, or `{ "flood": hex texts, "perSecond": n, "seconds": n }`. Ends when all are sent, and prints
 * how many were. Without arguments this file is what starts it.
 */
import { resolve } from "node:path";

const SELF = resolve("test/support/load/hostile-sender.ts");
/** Bun's sendMany takes no more at once. */
const BATCH = 200;
const TICK_MS = 10;

export interface Flood {
  readonly flood: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
}

/** From a machine of the test network, with any source address that it has. Resolves with how many were sent. */
export async function sendHostile(
  wrapper: readonly string[],
  from: string,
  to: string,
  port: number,
  what: readonly Uint8Array[] | Flood,
): Promise<number> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, from, to, String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const request = "flood" in what ? what : what.map((bytes) => Buffer.from(bytes).toString("hex"));
  child.stdin.write(JSON.stringify(request));
  child.stdin.end();
  const printed = await new Response(child.stdout).text();
  await child.exited;
  return Number(printed);
}

async function run(from: string, to: string, port: number, what: readonly string[] | Flood): Promise<number> {
  const socket = await Bun.udpSocket({ hostname: from });
  const texts = "flood" in what ? what.flood : what;
  const datagrams = (texts as readonly string[]).map((hex) => Buffer.from(hex, "hex"));
  let sent = 0;
  const send = (count: number) => {
    const batch = Array.from({ length: count }, () => [
      datagrams[sent++ % datagrams.length]!,
      port,
      to,
    ]).flat();
    socket.sendMany(batch as Parameters<typeof socket.sendMany>[0]);
  };
  if (!("flood" in what)) for (let i = 0; i < datagrams.length; i++) send(1);
  else {
    const startMs = performance.now();
    const total = what.perSecond * what.seconds;
    while (sent < total) {
      const due = Math.min(total, ((performance.now() - startMs) / 1000) * what.perSecond);
      while (sent + BATCH <= due) send(BATCH);
      if (due === total) send(Math.min(BATCH, total - sent));
      await Bun.sleep(TICK_MS);
    }
  }
  socket.close();
  return sent;
}

if (import.meta.main) {
  const [from, to, port] = process.argv.slice(2) as [string, string, string];
  const what = (await Bun.stdin.json()) as readonly string[] | Flood;
  console.log(await run(from, to, Number(port), what));
}
