/**
 * TCP survives a path MTU black hole only when the kernel looks for one, and by default it does not: a connection whose
 * full segments vanish sends them again at the same size until it is reset. The setting is of the network namespace, so
 * it is changed only from 0 to 1, "when a black hole is detected", which costs a healthy connection nothing, and back
 * again at the end. [RFC 4821; ip-sysctl: tcp_mtu_probing]
 */
import { readSysctl, writeSysctl } from "../sys/sysctl.ts";
import type { Log } from "./log.ts";

const TCP_MTU_PROBING = "net.ipv4.tcp_mtu_probing";
const OFF = "0";
const ON_BLACK_HOLE = "1";

export interface Sysctls {
  readonly read: typeof readSysctl;
  readonly write: typeof writeSysctl;
}

const SYSTEM: Sysctls = { read: readSysctl, write: writeSysctl };

/** Call what it returns when the node has ended. */
export function enableTcpMtuProbing(log: Pick<Log, "info" | "warn">, sysctls = SYSTEM): () => void {
  if (sysctls.read(TCP_MTU_PROBING) !== OFF) return () => {};
  try {
    sysctls.write(TCP_MTU_PROBING, ON_BLACK_HOLE);
  } catch (error) {
    log.warn(
      { err: error },
      `cannot set ${TCP_MTU_PROBING} to 1: TCP relays over node addresses stall where a path drops large packets without ICMP; set it on the host, or for the container (--sysctl ${TCP_MTU_PROBING}=1)`,
    );
    return () => {};
  }
  log.info(`${TCP_MTU_PROBING} is 1 while this node runs (it was 0): relays survive path MTU black holes`);
  return () => restore(sysctls);
}

/** A value that another program has set meanwhile stays. */
function restore({ read, write }: Sysctls): void {
  if (read(TCP_MTU_PROBING) !== ON_BLACK_HOLE) return;
  try {
    write(TCP_MTU_PROBING, OFF);
  } catch {
    // the right to it is gone by now
  }
}
