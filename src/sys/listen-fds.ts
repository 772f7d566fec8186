/**
 * Descriptors that the service manager passes to a process it starts: from number 3 on, named by $LISTEN_FDNAMES. Those
 * of its FD store have the names under which they were stored. [sd_listen_fds(3)]
 */
import { libc } from "./libc.ts";
import { close } from "./socket.ts";

const FIRST_FD = 3;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MAX_NAME_LENGTH = 255;

type Env = Record<string, string | undefined>;

/** By key, each once: they are closed when this process executes another. Takes the variables out of `env`. */
export function takeListenFds(env: Env, pid: number): [key: string, fd: number][] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== pid || !Number.isSafeInteger(count)) return [];
  const names = (LISTEN_FDNAMES ?? "").split(":");
  const found = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const fd = FIRST_FD + i;
    if (libc.fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) continue; // it is not open
    const key = decodeName(names[i] ?? "");
    if (found.has(key)) close(fd);
    else found.set(key, fd);
  }
  return [...found];
}

/** A key as FDNAME: ASCII without ":"; null: too long, or not ASCII. */
export function encodeName(key: string): string | null {
  const name = key.replaceAll("%", "%25").replaceAll(":", "%3A");
  return name.length <= MAX_NAME_LENGTH && /^[\x20-\x7e]+$/.test(name) ? name : null;
}

function decodeName(name: string): string {
  return name.replaceAll("%3A", ":").replaceAll("%25", "%");
}
