/** The new process asks the running one for its sockets. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Config } from "../../config/index.ts";
import { dataDirOf } from "../../node/data-dir.ts";
import { ENDPOINT_NAME } from "../../node/handover/handover-endpoint.ts";
import { identityOf } from "../../node/handover/identity.ts";
import { Takeover } from "../../node/handover/takeover.ts";
import { steadyClock } from "../../sys/clock.ts";
import { raiseFileLimit } from "../../sys/file-limit.ts";
import { CommandFailure } from "../invocation.ts";
import { requestOverSocket } from "./http.ts";

const TIMEOUT_MS = 10_000;

/**
 * Asks on the admin sockets, and then in data_dir: a predecessor in another container has its admin socket there.
 * null: no process runs the node. Throws CommandFailure or NodeError when the running one refuses.
 */
export async function takeOver(
  sockets: readonly string[],
  config: Config,
  version: string,
): Promise<Takeover | null> {
  const endpoint = join(dataDirOf(config), ENDPOINT_NAME);
  for (const asked of [...sockets, endpoint]) {
    const socket = await handoverSocket(asked);
    if (socket === null) continue;
    raiseFileLimit(); // for its sockets
    const adminSocket = basename(asked) === ENDPOINT_NAME ? null : asked;
    const identity = identityOf(config);
    return Takeover.connect({ socket, adminSocket, identity, version, clock: steadyClock });
  }
  return null;
}

/** Tells the running process why this one cannot take over, for whoever asked for it. */
export async function reportFailure(admin: string, reason: string): Promise<void> {
  const request = {
    method: "POST",
    path: "/v1/handover/failed",
    body: { reason },
    timeoutMs: 2_000,
  } as const;
  await requestOverSocket(admin, request).catch(() => undefined);
}

async function handoverSocket(admin: string): Promise<string | null> {
  try {
    const request = { method: "POST", path: "/v1/handover", timeoutMs: TIMEOUT_MS } as const;
    const { status, text } = await requestOverSocket(admin, request);
    const { socket, error } = JSON.parse(text) as { socket?: string; error?: string };
    if (socket !== undefined) return asSeenFrom(admin, socket);
    const reason = status === 404 ? "its version cannot hand over: stop it and start this one" : error;
    throw new CommandFailure(`cannot take over from the node on ${admin}: ${reason}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return null;
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(`cannot take over from the node on ${admin}: ${(error as Error).message}`);
  }
}

/** The predecessor may see its directory under another path. */
function asSeenFrom(asked: string, socket: string): string {
  const beside = join(dirname(asked), basename(socket));
  return existsSync(beside) ? beside : socket;
}
