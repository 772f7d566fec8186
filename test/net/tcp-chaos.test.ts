/**
 * Many connections at once whose ends do as they please: they send any number of bytes in any pieces, read fast or
 * slowly, and end with FIN, RST, or FIN and then RST, while the routing table is being reloaded. Whatever they do:
 *
 *   what arrives is a prefix of what was sent (`Pattern` compares every byte)
 *   a clean end means that FIN was sent and everything before it has arrived
 *   where nobody resets, every stream arrives whole and ends cleanly
 *   afterwards nothing is left open
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { SysError } from "../../src/sys/errno.ts";
import { Pattern, type Received } from "../support/load/pattern.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { TcpPath } from "../support/proxy/tcp-path.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const WORKERS = 2;
const CONNECTIONS = 60;
const ROUNDS = 5;
const TOTALS = [0, 1, 1000, 16_384, 100_000, 3_000_000];
const PIECES = [1, 100, 16_383, 16_384, 16_385, 200_000];
const MAX_PIECES = 1000;
const READS = [2000, 16_384, 262_144];
const ENDINGS = ["fin", "fin", "fin", "rst", "fin and rst"] as const;
/** Every worker keeps a few. */
const IDLE_PIPE_DESCRIPTORS = WORKERS * 2 * 16;

let seeded: Seeded;
let path: TcpPath;
let stream = 0;

beforeAll(async () => {
  seeded = Seeded.fromEnvironment();
  path = await TcpPath.start(WORKERS);
});
afterAll(() => path.stop());

/** What one end of a connection did, and what it saw of the other. */
interface Account {
  sentBytes: number;
  hasFinished: boolean;
  hasReset: boolean;
  /** null: it has reset the connection itself. */
  received: Received | null;
}

async function act(socket: RawSocket, out: Pattern, incoming: Pattern): Promise<Account> {
  const account: Account = { sentBytes: 0, hasFinished: false, hasReset: false, received: null };
  const own = seeded.fork(out.stream);
  const total = own.pick(TOTALS);
  const ending = own.pick(ENDINGS);
  const longestPiece = Math.max(own.pick(PIECES), total / MAX_PIECES);
  const receiving = incoming.receiveToEnd(socket, { maxLength: own.pick(READS) }).catch((error: unknown) => {
    if (!account.hasReset) throw error;
  });
  const sendError = await sendAndEnd().catch((error: unknown) => {
    if (error instanceof SysError) return error.code; // the other end broke the connection
    throw error;
  });
  account.sentBytes = out.sentBytes;
  const received = await receiving;
  if (!account.hasReset && received) account.received = received;
  // the kernel tells of a reset once: a read after a write that was told gives 0, as at the end
  if (sendError === "ECONNRESET" && received?.how === "end")
    account.received = { ...received, how: sendError };
  socket.close();
  return account;

  async function sendAndEnd(): Promise<null> {
    await out.send(socket, total, { nextLength: () => Math.ceil(own.random() * longestPiece) || 1 });
    if (ending !== "rst") socket.finish();
    account.hasFinished = ending !== "rst";
    if (ending === "fin") return null;
    account.hasReset = true;
    socket.reset();
    return null;
  }
}

function check(from: Account, to: Account): void {
  if (to.received === null) return;
  const { how, bytes } = to.received;
  if (how === "end") {
    expect({ hasFinished: from.hasFinished, bytes }).toEqual({ hasFinished: true, bytes: from.sentBytes });
  } else {
    expect(how).toBe("ECONNRESET");
    expect(from.hasReset).toBe(true);
    expect(bytes).toBeLessThanOrEqual(from.sentBytes);
  }
}

/** The client's first byte says which connection it is. */
async function openAll(): Promise<[client: RawSocket, task: RawSocket][]> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => path.connect()));
  await Promise.all(clients.map((client, index) => client.send(Uint8Array.of(index))));
  return Promise.all(
    clients.map(async () => {
      const task = await path.accept();
      const client = clients[(await task.receive(1))[0]!]!;
      await task.send("!"); // past dialing: from here on a reset is the connection's, not a refusal
      expect(await client.receiveText(1)).toBe("!");
      return [client, task] as [RawSocket, RawSocket];
    }),
  );
}

async function runConnection(client: RawSocket, task: RawSocket): Promise<void> {
  const [there, back] = [stream++, stream++];
  const [atClient, atTask] = await Promise.all([
    act(client, new Pattern(there), new Pattern(back)),
    act(task, new Pattern(back), new Pattern(there)),
  ]);
  check(atClient, atTask);
  check(atTask, atClient);
}

async function reloadUntil(isOver: () => boolean): Promise<void> {
  const { published, listener } = path;
  while (!isOver()) {
    const balance = seeded.pick(["round-robin", "random", "least-connections", "source-hash"] as const);
    await path.harness.apply({ protocol: "tcp", published, tasks: [listener.port], balance });
    await Bun.sleep(seeded.below(20)); // the pace of the reloads
  }
}

test("no byte is lost, doubled or mixed up, and no broken stream ends cleanly", async () => {
  let before = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let isOver = false;
    const reloading = reloadUntil(() => isOver);
    const pairs = await openAll();
    await Promise.all(pairs.map(([client, task]) => runConnection(client, task)));
    isOver = true;
    await reloading;
    await path.closeAll();
    if (round === 0) before = descriptorsOf(process.pid);
  }
  await waitFor(() => descriptorsOf(process.pid) <= before + IDLE_PIPE_DESCRIPTORS, {
    what: "every descriptor to be closed",
  });
});
