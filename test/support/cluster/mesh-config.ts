/** Configuration files of meshes under test. Pure. */

export interface MeshSettings {
  readonly clusterName: string;
  /** Base64; [] with `isInsecure`, or where the addresses are loopback. */
  readonly keys: readonly string[];
  readonly profile: "lan" | "wan" | "local";
  /** Allows no keys on an address that is not loopback. */
  readonly isInsecure: boolean;
  /** Gossip and relays listen on every address of the family, instead of the node's own. */
  readonly isWildcard: boolean;
  /** False: `node.advertise` is left out. */
  readonly isAdvertising: boolean;
  /** Lines of [overlay]. */
  readonly overlay: string;
  readonly workers: number;
}

export interface MeshNodeSettings extends MeshSettings {
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly dataDirectory: string;
  readonly join: readonly string[];
  /** Where services listen; [] is every address of the node. */
  readonly bind: readonly string[];
  /** [[services]] and what else the test wants. */
  readonly services: string;
}

export const GOSSIP_PORT = 7946;
export const RELAY_PORT = 4789;

export function meshFile(settings: MeshNodeSettings): string {
  const { name, address, labels, dataDirectory, clusterName, keys, join, profile, isInsecure, overlay } =
    settings;
  return `[node]
name = ${quote(name)}
${settings.isAdvertising ? `advertise = ${quote(address)}\n` : ""}labels = { ${Object.entries(labels)
    .map(([key, value]) => `${key} = ${quote(value)}`)
    .join(", ")} }
data_dir = ${quote(dataDirectory)}
[cluster]
name = ${quote(clusterName)}
keys = ${list(keys)}
join = ${list(join)}
bind = ${quote(gossipBind(settings))}
profile = ${quote(profile)}
${isInsecure ? "insecure = true\n" : ""}[overlay]
${overlay}
port = ${RELAY_PORT}
[proxy]
workers = ${settings.workers}
bind = ${list(settings.bind)}
${settings.services}`;
}

function gossipBind({ address, isWildcard }: MeshNodeSettings): string {
  const isIpv6 = address.includes(":");
  const wildcard = isIpv6 ? "::" : "0.0.0.0";
  const host = isWildcard ? wildcard : address;
  return `${isIpv6 ? `[${host}]` : host}:${GOSSIP_PORT}`;
}

export interface TestServiceFile {
  readonly name: string;
  /** As in the file: "8080:80", "53:53/udp", or a table's text. */
  readonly publish: readonly string[];
  /** "10.99.0.1:9000", … */
  readonly tasks?: readonly string[];
  /** More lines. */
  readonly extra?: string;
}

export function serviceFile({ name, publish, tasks = [], extra = "" }: TestServiceFile): string {
  const ports = publish.map((port) => (port.startsWith("{") ? port : quote(port)));
  return `[[services]]
name = ${quote(name)}
publish = [${ports.join(", ")}]
tasks = ${list(tasks)}
${extra}
`;
}

function list(values: readonly string[]): string {
  return `[${values.map(quote).join(", ")}]`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
