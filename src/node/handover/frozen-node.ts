/** What of a node only one process can do, in the order in which it stops. */
import type { SpliceProxy } from "../../proxy/index.ts";
import { decodeWhole, encodeValue } from "../../wire/index.ts";
import type { CommandGate } from "./command-gate.ts";
import type { Handed, HandoverPart } from "./handover-part.ts";

const PROXY_KEY = "proxy";

/** Sessions and counters of the predecessor; before the first table. */
export function continueProxy(
  proxy: Pick<SpliceProxy, "continueFrom">,
  state: ReadonlyMap<string, Handed>,
): void {
  const handed = state.get(PROXY_KEY);
  if (handed === undefined) return; // the predecessor has died
  type Inherited = Parameters<SpliceProxy["continueFrom"]>[0];
  const value = decodeWhole(handed.bytes) as {
    readonly counters: Inherited["counters"];
    readonly udp: Inherited["udp"]["value"];
  };
  proxy.continueFrom({ counters: value.counters, udp: { value: value.udp, descriptors: handed.fds } });
}

export interface FrozenNode {
  readonly commands: CommandGate;
  readonly tables: { change(work: () => Promise<void>): Promise<void> };
  readonly proxy: Pick<
    SpliceProxy,
    "closeUnpassed" | "reopen" | "pauseUdp" | "resumeUdp" | "forgetUdp" | "exportCounters"
  >;
  readonly cluster: { suspend(): Promise<void>; resume(): Promise<void> };
}

export function handoverParts({ commands, tables, proxy, cluster }: FrozenNode): HandoverPart[] {
  return [
    commands,
    heldTable(tables),
    {
      key: PROXY_KEY,
      freeze: async () => {
        const { value: udp, descriptors: fds } = await proxy.pauseUdp();
        return { bytes: encodeValue({ counters: proxy.exportCounters(), udp }), fds };
      },
      thaw: () => proxy.resumeUdp(),
      leave: () => proxy.forgetUdp(),
    },
    {
      key: "relay-udp",
      freeze: () => nothing(proxy.closeUnpassed()),
      thaw: () => proxy.reopen(),
      leave: async () => undefined,
    },
    {
      key: "cluster",
      freeze: () => nothing(cluster.suspend()),
      thaw: () => cluster.resume(),
      leave: async () => undefined,
    },
  ];
}

/** No other table is prepared meanwhile. */
function heldTable(tables: FrozenNode["tables"]): HandoverPart {
  let release = (): void => undefined;
  const end = async () => release();
  return {
    key: "tables",
    freeze: () => {
      const begun = Promise.withResolvers<null>();
      const over = Promise.withResolvers<void>();
      release = over.resolve;
      tables
        .change(() => {
          begun.resolve(null);
          return over.promise;
        })
        .catch(begun.reject);
      return begun.promise;
    },
    thaw: end,
    leave: end,
  };
}

async function nothing(work: Promise<void>): Promise<null> {
  await work;
  return null;
}
