/** Blocking output to a terminal, file or pipe: what a command prints is out before the process ends. */
import { writeSync } from "node:fs";

const RETRY_MS = 5; // a full non-blocking pipe: its reader is busy
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** False when the reader has gone (`portmesh status | head -1`): the writer may stop. */
export function writeAll(fd: number, text: string): boolean {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(sleeper, 0, 0, RETRY_MS);
    }
  }
  return true;
}
