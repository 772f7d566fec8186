/** An eventfd: one thread rings, another has it in its epoll set. */
import { scratch } from "./arena.ts";
import { check, errno } from "./errno.ts";
import { libc } from "./libc.ts";

const EFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

export function openWakeup(): number {
  const fd = libc.eventfd(0, EFD_NONBLOCK_CLOEXEC);
  return check("eventfd", fd >= 0 ? fd : -errno());
}

export function ringWakeup(fd: number): void {
  scratch.int32[0] = 1;
  scratch.int32[1] = 0;
  libc.write(fd, scratch.address(0), 8);
}

export function clearWakeup(fd: number): void {
  libc.read(fd, scratch.address(0), 8);
}
