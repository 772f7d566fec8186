/**
 * Where the userspace driver's thread starts: next to this folder in the sources and, as build/compile.ts lays it out,
 * next to the program in the executable. The path is right from a file that is here, and from the program itself.
 */
export function workerUrl(): URL {
  return new URL("../overlay/userspace/worker/main.ts", import.meta.url);
}
