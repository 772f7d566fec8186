/** Finds the running node among the places where its socket may be. */
import { connect } from "node:net";
import { CommandFailure } from "../invocation.ts";

/** A node that accepts but is too busy to be asked again is there. */
const PROBE_MS = 1_000;

/** Errors of a path behind which no node of this user listens, in words. */
const NO_NODE: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  ECONNREFUSED: "no program listens",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOTSOCK: "not a socket",
};

/** The first path that answers; why none does is for noSuchNode(). */
export async function findAnswering(
  paths: readonly string[],
): Promise<{ readonly path: string } | { readonly failures: readonly string[] }> {
  const failures: string[] = [];
  for (const path of paths) {
    const failure = await probe(path);
    if (failure === null) return { path };
    failures.push(`${path}: ${failure}`);
  }
  return { failures };
}

export function noSuchNode(failures: readonly string[]): CommandFailure {
  const isDenied = failures.some((failure) => failure.endsWith(NO_NODE.EACCES!));
  const hint = isDenied
    ? "run this as the user portmesh runs as"
    : "is portmesh running? start it with `portmesh run`";
  return new CommandFailure(
    `cannot reach the node: ${failures.join("; ")}: ${hint}, or name its socket with --socket`,
  );
}

/** null: a program answers, or may answer. */
function probe(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (failure: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => end(null), PROBE_MS);
    socket.on("connect", () => end(null));
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => end(NO_NODE[code] ?? null));
  });
}
