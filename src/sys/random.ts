/** Random numbers, for callers that pass them on to pure code. */
import { randomFillSync } from "node:crypto";

/** Fresh memory, unpredictable. */
export function randomBytes(count: number): Uint8Array {
  return randomFillSync(new Uint8Array(count));
}
