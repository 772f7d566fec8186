/** Who has a UDP port bound in this network namespace, as far as this process may see: for messages, best effort. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const TABLES = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"] as const;

export interface UdpPortOwner {
  /** Of the socket. */
  readonly inode: number;
  /** null: the kernel's own, or a process that cannot be seen. */
  readonly process: { readonly pid: number; readonly name: string } | null;
}

/** The first socket on the port, of IPv4 and then of IPv6; null: none is seen. */
export function findUdpPortOwner(port: number): UdpPortOwner | null {
  for (const table of TABLES) {
    const inode = findInode(readTable(table), port);
    if (inode !== null) return { inode, process: findProcess(inode) };
  }
  return null;
}

/** [proc(5), /proc/net/udp]: columns sl, local address:port in hexadecimal, …; the tenth is the inode. */
function findInode(table: string, port: number): number | null {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
  const row = rows.find((fields) => fields[1]?.endsWith(suffix));
  return row === undefined ? null : Number(row[9]);
}

/** inode 0 is no process's. */
function findProcess(inode: number): UdpPortOwner["process"] {
  if (inode === 0) return null;
  const pid = list("/proc").find((entry) => /^\d+$/.test(entry) && holds(entry, inode));
  return pid === undefined ? null : { pid: Number(pid), name: readTable(`/proc/${pid}/comm`).trim() };
}

function holds(pid: string, inode: number): boolean {
  const wanted = `socket:[${inode}]`;
  return list(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === wanted;
    } catch {
      return false; // closed meanwhile
    }
  });
}

/** Empty where it may not be read. */
function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readTable(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
