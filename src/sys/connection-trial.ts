/**
 * Whether a TCP port takes a connection; it is closed again at once. Nothing is sent over it. By descriptor, because the
 * runtime's own sockets call every failure ECONNREFUSED.
 */
import { scratch } from "./arena.ts";
import { EALREADY, EINPROGRESS, EISCONN, ETIMEDOUT, errnoCode } from "./errno.ts";
import { writeSockaddr } from "./sockaddr.ts";
import { close, connect, setResetOnClose, tcpSocket } from "./socket.ts";
import { bindTo, familyOf, LOOK_MS, type TrialTarget } from "./trial-target.ts";

export interface ConnectionTrialOptions extends TrialTarget {
  readonly timeoutMs: number;
}

/** null: it took the connection; else the code of the error: "ECONNREFUSED", "ETIMEDOUT" also when the time is over. */
export async function tryConnection(options: ConnectionTrialOptions): Promise<string | null> {
  const fd = tcpSocket(familyOf(options));
  if (fd < 0) return errnoCode(-fd);
  try {
    const bound = bindTo(fd, options, 0);
    const error = bound < 0 ? -bound : await outcome(fd, options);
    return error === 0 ? null : errnoCode(error);
  } finally {
    setResetOnClose(fd); // leaves nothing in TIME_WAIT on either side
    close(fd);
  }
}

async function outcome(fd: number, target: ConnectionTrialOptions): Promise<number> {
  const endMs = performance.now() + target.timeoutMs;
  for (;;) {
    const length = writeSockaddr(scratch.bytes, 0, target.address, target.port);
    const result = connect(fd, scratch.address(0), length);
    if (result === 0 || result === -EISCONN) return 0;
    if (result !== -EINPROGRESS && result !== -EALREADY) return -result;
    if (performance.now() >= endMs) return ETIMEDOUT;
    await Bun.sleep(LOOK_MS);
  }
}
