/** Which C library the process has: what goes into a bug report. */
import { dlopen } from "bun:ffi";

/** "glibc 2.36", or "musl", which does not tell its version. */
export function cLibraryName(): string {
  try {
    const { symbols } = dlopen("libc.so.6", { gnu_get_libc_version: { args: [], returns: "cstring" } });
    return `glibc ${symbols.gnu_get_libc_version()}`;
  } catch {
    return "musl"; // it answers to that name too, without the function
  }
}
