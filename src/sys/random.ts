/** Random numbers, for whoever hands them to code that has none of its own. */
import { randomFillSync } from "node:crypto";

/** Fresh memory, unpredictable. */
export function randomBytes(count: number): Uint8Array {
  return randomFillSync(new Uint8Array(count));
}
