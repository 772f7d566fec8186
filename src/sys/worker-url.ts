/**
 * Where a worker thread starts. In the sources that is a file of them; in the executable, build/compile.ts has laid out
 * the same tree next to the program, which all modules are part of.
 */
const IN_EXECUTABLE = "/$bunfs/";

/** @param path from src on: "proxy/worker/main.ts" */
export function workerUrl(path: string): URL {
  const isExecutable = import.meta.url.includes(IN_EXECUTABLE);
  return new URL(isExecutable ? `./${path}` : `../${path}`, import.meta.url);
}
