/**
 * A start while the node's previous process still stops: it has closed its ports, and gives up its admin socket and its
 * state when it is asked to, while its last connections end. A node that serves is another one: that is an error.
 */
import { AdminSocketError } from "../admin/index.ts";
import { askToMakeWay } from "../sys/ask-ready.ts";
import { type Clock, pause } from "../sys/clock.ts";
import type { Log } from "./log.ts";
import type { ServiceManager } from "./service-manager.ts";

/** Longer than it takes to say goodbye to a large cluster; its connections are not waited for. */
const WAIT_MS = 30_000;
const LOOK_MS = 25;

export interface WaitOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly manager?: ServiceManager;
}

/** Throws what `listen` throws when its socket is another node's, and when a stopping node keeps it for too long. */
export async function afterPredecessor<Server>(
  listen: () => Promise<Server>,
  { clock, log, manager }: WaitOptions,
): Promise<Server> {
  const endMs = clock.nowMs() + WAIT_MS;
  for (let isFirst = true; ; isFirst = false) {
    const server = await listen().catch((error: unknown) => busyPath(error));
    if (typeof server !== "string") return server;
    const answer = await askToMakeWay(server);
    if (!answer.isReady && answer.isThere) return listen(); // it serves: the error, unless it has just ended
    if (clock.nowMs() > endMs)
      throw new AdminSocketError(
        "in-use",
        `cannot listen on ${server}: a node that is stopping has kept this socket for ${WAIT_MS / 1_000} s: end it`,
      );
    if (isFirst) {
      log.info({ socket: server }, "waiting for the previous process of this node, which is stopping");
      manager?.waiting("waiting for the previous process, which is stopping");
    }
    await pause(clock, LOOK_MS);
  }
}

/** Of another node; throws every other error. */
function busyPath(error: unknown): string {
  if (error instanceof AdminSocketError && error.path !== null) return error.path;
  throw error;
}
