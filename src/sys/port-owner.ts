/** Who has a port bound in this network namespace, as far as this process may see: for messages, best effort. */
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
  const suffix = portSuffix(port);
  const row = rowsOf(table).find((fields) => fields[1]?.endsWith(suffix));
  return row === undefined ? null : Number(row[9]);
}

function rowsOf(table: string): string[][] {
  return table.split("\n").map((line) => line.trim().split(/\s+/));
}

function portSuffix(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** inode 0 belongs to no process. */
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

/**
 * Ports that this process has itself, at sockets to somewhere else or at sockets of its own that wait for others. Read
 * once, when it is first asked.
 */
export class OwnPorts {
  #inodes: ReadonlySet<number> | null = null;
  readonly #rows = new Map<string, readonly (readonly string[])[]>();

  /**
   * null: this process has no socket at the port. One of the address's own family counts first: the listener of the other
   * may be that of the same published port, which is open already.
   */
  useOf(protocol: "tcp" | "udp", address: string, port: number): "connected" | "waiting" | null {
    const tables = [protocol, `${protocol}6`];
    if (address.includes(":")) tables.reverse();
    return this.#useIn(tables[0]!, port) ?? this.#useIn(tables[1]!, port);
  }

  #useIn(table: string, port: number): "connected" | "waiting" | null {
    this.#inodes ??= ownSocketInodes();
    const suffix = portSuffix(port);
    const own = this.#table(table).filter(
      (fields) => fields[1]?.endsWith(suffix) && this.#inodes!.has(Number(fields[9])),
    );
    if (own.length === 0) return null;
    return own.some((fields) => fields[2]?.endsWith(":0000")) ? "waiting" : "connected";
  }

  #table(name: string): readonly (readonly string[])[] {
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const rows = rowsOf(readTable(`/proc/thread-self/net/${name}`));
    this.#rows.set(name, rows);
    return rows;
  }
}

/** First and last of the ports that the kernel gives to connections that ask for none; null: it does not say. */
export function readLocalPortRange(): { readonly first: number; readonly last: number } | null {
  const [first, last] = readTable("/proc/sys/net/ipv4/ip_local_port_range").trim().split(/\s+/).map(Number);
  return first === undefined || last === undefined || Number.isNaN(first) ? null : { first, last };
}

/** Of all sockets of this process. */
export function ownSocketInodes(): ReadonlySet<number> {
  const links = list("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // closed meanwhile
    }
  });
  // what has no inode of its own is not a socket of this process: in the tables 0 stands for connections that no process holds
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.slice(1).map(Number) ?? []));
}
