/** The clients that have been refused most, of each service with limits per client. For the main thread, when asked. */
import type { ClientLimits } from "../model/index.ts";
import { formatIp } from "../wire/index.ts";
import { clientTag } from "./table/client-limits.ts";
import { type ClientTableMemory, forEachClient, readClient } from "./table/client-table.ts";
import type { ClientStatus } from "./table/status.ts";

const MOST = 10;

/** A client as the table has it. */
interface Counted {
  readonly entry: number;
  readonly open: number;
  readonly refused: number;
}

/** By slot. Those refused most come first, then those with most open; at most ten of each service. */
export function topClients(
  memory: ClientTableMemory,
  limited: ReadonlyMap<number, ClientLimits>,
): ReadonlyMap<number, readonly ClientStatus[]> {
  if (limited.size === 0) return new Map();
  const bySlot = new Map<number, Counted[]>([...limited.keys()].map((slot) => [slot, []]));
  forEachClient(memory, (entry, tag, open, refused) => {
    const top = bySlot.get((tag >> 2) - 1);
    if (top !== undefined && (open > 0 || refused > 0)) insert(top, { entry, open, refused });
  });
  return new Map(
    [...bySlot].map(([slot, top]) => [slot, top.map((each) => show(each, memory, slot, limited.get(slot)!))]),
  );
}

function insert(top: Counted[], client: Counted): void {
  let at = top.length;
  while (at > 0 && isBefore(client, top[at - 1]!)) at--;
  if (at < MOST) top.splice(at, 0, client);
  if (top.length > MOST) top.pop();
}

function isBefore(one: Counted, other: Counted): boolean {
  return one.refused === other.refused ? one.open > other.open : one.refused > other.refused;
}

function show(
  { entry, open, refused }: Counted,
  memory: ClientTableMemory,
  slot: number,
  { prefix }: ClientLimits,
): ClientStatus {
  const { tag, address } = readClient(memory, entry);
  const isUdp = tag === clientTag(slot, "udp", 4) || tag === clientTag(slot, "udp", 6);
  const family = (tag & 1) === 1 ? 6 : 4;
  const length = family === 4 ? prefix.ipv4 : prefix.ipv6;
  const text = formatIp(family, address);
  return {
    client: length === (family === 4 ? 32 : 128) ? text : `${text}/${length}`,
    protocol: isUdp ? "udp" : "tcp",
    open,
    refusedTotal: refused,
  };
}
