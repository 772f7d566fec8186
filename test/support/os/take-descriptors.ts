/** A process without free descriptors. */
import * as socket from "../../../src/sys/socket.ts";

/** None has become free for so long. */
const QUIET_ROUNDS = 20;
const ROUND_MS = 10;

/**
 * Takes every descriptor that this process may still open, those too that get free in the next moments, when sockets of
 * tests before are closed. Returns what gives them back.
 */
export async function takeAllDescriptors(): Promise<() => void> {
  const taken: number[] = [];
  for (let quietRounds = 0; quietRounds < QUIET_ROUNDS; quietRounds++) {
    for (let fd = socket.duplicate(1); fd >= 0; fd = socket.duplicate(1)) {
      taken.push(fd);
      quietRounds = 0;
    }
    await Bun.sleep(ROUND_MS);
  }
  return () => {
    for (const fd of taken.splice(0)) socket.close(fd);
  };
}
