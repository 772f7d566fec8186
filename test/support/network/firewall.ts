/** A machine's own firewall, as an operator writes it with nft. */
import type { NetworkNode } from "./network-node.ts";

const TABLE = "inet firewall";

export interface Firewall {
  /** Drops what comes to these ports ("7946/udp") from an address. */
  dropInput(ports: readonly string[], from: string): Promise<void>;
  /** Rules of chain `input` and of chain `output`, as nft has them. */
  load(rules: { readonly input?: readonly string[]; readonly output?: readonly string[] }): Promise<void>;
  /** Everything passes again. */
  accept(): Promise<void>;
}

export async function openFirewall(machine: NetworkNode): Promise<Firewall> {
  const load: Firewall["load"] = async ({ input = [], output = [] }) => {
    const chain = (hook: string, rules: readonly string[]) => [
      `add chain ${TABLE} ${hook} { type filter hook ${hook} priority 0; policy accept; }`,
      ...rules.map((rule) => `add rule ${TABLE} ${hook} ${rule}`),
    ];
    const script = [
      `add table ${TABLE}`,
      `delete table ${TABLE}`,
      `add table ${TABLE}`,
      ...chain("input", input),
      ...chain("output", output),
    ];
    await machine.run("nft", script.join("\n"));
  };
  await load({});
  return {
    load,
    accept: () => load({}),
    dropInput: (ports, from) => {
      const rules = ports.map((port) => {
        const [number, protocol] = port.split("/");
        return `ip saddr ${from} ${protocol} dport ${number} drop`;
      });
      return load({ input: rules });
    },
  };
}
