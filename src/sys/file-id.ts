/** Which file a path leads to, whatever the path: the same in every mount namespace. */
import { statSync } from "node:fs";

/** "device:inode"; null: there is none, or this user cannot see it. */
export function fileId(path: string): string | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}
