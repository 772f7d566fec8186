/**
 * The configuration file: every key that exists, its type, default and description. This is the one place where
 * the file's own spelling (snake_case, durations as text) is known; effective-config.ts writes it back.
 *
 * Only what one key can tell about itself is checked here; what concerns several keys is in cross-checks.ts.
 */
import type { z } from "zod";
import { canonicalBind, canonicalPrefix } from "./address.ts";
import {
  anyOf,
  canonicalText,
  choice,
  duration,
  flag,
  integer,
  list,
  nonEmptyList,
  type Parsed,
  parsedText,
  table,
} from "./fields.ts";
import { type PortRange, parsePublish, publishPattern } from "./port-range.ts";
import { showValue } from "./problem.ts";
import { parseTaskAddress, type TaskAddress } from "./task-address.ts";

/** sockaddr_un.sun_path holds 108 bytes with the final NUL: unix(7). */
const maxSocketPathBytes = 107;

const nodeName = canonicalText(
  "a name: a letter or digit, then letters, digits, '_', '.' or '-', at most 128 characters",
  (text) => (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(text) ? text : null),
  "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$",
);

export const serviceName = canonicalText(
  "a service name: a letter or digit, then letters, digits, '_', '.' or '-', at most 63 characters",
  (text) => (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(text) ? text : null),
  "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$",
);

const socketPath = parsedText("a path", (text): Parsed<string> => {
  const bytes = Buffer.byteLength(text);
  if (!text.startsWith("/")) return { error: `${showValue(text)} is not an absolute path` };
  if (text.includes("\0")) return { error: `${showValue(text)} contains a NUL character` };
  if (bytes > maxSocketPathBytes) {
    return { error: `a path of ${bytes} bytes is too long: a socket path has at most ${maxSocketPathBytes}` };
  }
  return { value: text };
});

const prefix = canonicalText("an IP address or a CIDR prefix like 192.0.2.0/24", canonicalPrefix);

export const bindList = list(
  canonicalText("an IP address, a CIDR prefix or an interface name", canonicalBind),
);

const port = integer(1, 65535);

export const publishEntry = anyOf('a port like "8080:80" or a table with published and target', [
  parsedText(
    'a port like "8080:80", "53:53/udp" or "30000-30009:30000-30009"',
    (text): Parsed<PortRange> => {
      const range = parsePublish(text);
      return "error" in range ? range : { value: range };
    },
    publishPattern,
  ),
  table({
    published: port.meta({ description: "Port clients connect to." }),
    target: port.optional().meta({ description: "Port of the tasks; default: the published port." }),
    protocol: choice(["tcp", "udp"]).default("tcp"),
  }).transform(
    ({ published, target, protocol }): PortRange => ({
      protocol,
      published,
      target: target ?? published,
      count: 1,
    }),
  ),
]);

const taskAddress = parsedText(
  'a task address like "10.1.0.7", "10.1.0.7:8081", "[2001:db8::7]:80" or "web.internal"',
  (text): Parsed<TaskAddress & { readonly name: string }> => {
    const address = parseTaskAddress(text);
    return "error" in address ? address : { value: { ...address, name: text } };
  },
);

export const taskEntry = anyOf('a task address like "10.1.0.7:8081" or a table with address', [
  taskAddress.transform((address) => ({ ...address, weight: 1, isDraining: false })),
  table({
    address: taskAddress.meta({ description: "IP address or DNS name, with or without a port." }),
    weight: integer(1, 256).default(1).meta({ description: "Share of new connections." }),
    drain: flag().default(false).meta({ description: "No new connections; the open ones go on." }),
  }).transform(({ address, weight, drain }) => ({ ...address, weight, isDraining: drain })),
]);

const udp = table({
  mode: choice(["session", "packet"]).default("session").meta({
    description: "session: a client stays with its task until idle; packet: every datagram picks again.",
  }),
  idle_timeout: duration(1)
    .prefault("90s")
    .meta({ description: "A session without datagrams ends after this." }),
  max_sessions: integer(1, 1_048_576)
    .default(65_536)
    .meta({ description: "At this many the oldest idle session makes room." }),
});

const service = table({
  name: serviceName.meta({ description: "Unique in the file." }),
  publish: nonEmptyList(publishEntry).meta({
    description:
      "Published ports: PUBLISHED:TARGET[/tcp|/udp], ranges of equal length, or one port for both sides.",
  }),
  tasks: list(taskEntry)
    .prefault([])
    .meta({ description: "Where the service runs; without a port of its own a task gets the target port." }),
  balance: choice(["round-robin", "least-connections", "source-hash", "random"])
    .default("round-robin")
    .meta({ description: "How a task is picked." }),
  send_proxy: choice(["none", "v1", "v2"])
    .default("none")
    .meta({ description: "PROXY protocol header sent to the task; v1 knows TCP only." }),
  accept_proxy: list(prefix).prefault([]).meta({
    description: "From these clients a PROXY protocol header is required; from all others refused.",
  }),
  allow: list(prefix)
    .prefault(["0.0.0.0/0", "::/0"])
    .meta({ description: "Clients that are served, unless deny matches." }),
  deny: list(prefix).prefault([]).meta({ description: "Clients that are refused." }),
  bind: bindList.optional().meta({ description: "Where to listen; default: proxy.bind." }),
  max_connections: integer(0, 2_147_483_647)
    .default(0)
    .meta({ description: "Open TCP connections on this node; 0 = no limit." }),
  idle_timeout: duration(0)
    .prefault("0s")
    .meta({ description: "Close a TCP connection without traffic after this; 0s = never." }),
  drain_timeout: duration(0)
    .prefault("30s")
    .meta({ description: "How long connections to a draining or removed task may go on; 0s = cut at once." }),
  udp: udp.prefault({}).meta({ description: "Rules for the UDP ports of the service." }),
});

export const adminSchema = table({
  socket: socketPath
    .prefault("/run/portmesh/portmesh.sock")
    .meta({ description: "Unix socket of the commands: an absolute path." }),
}).prefault({});

export const fileSchema = table({
  node: table({
    name: nodeName.optional().meta({ description: "Name of this node; default: the host name." }),
  }).prefault({}),
  proxy: table({
    workers: integer(0, 64).default(0).meta({ description: "Proxy threads; 0 = one per core." }),
    bind: bindList
      .prefault([])
      .meta({ description: "Where services listen: addresses, prefixes or interfaces; [] = every address." }),
  }).prefault({}),
  admin: adminSchema,
  log: table({
    level: choice(["trace", "debug", "info", "warn", "error"])
      .default("info")
      .meta({ description: "Least important lines written." }),
    format: choice(["auto", "json", "pretty"])
      .default("auto")
      .meta({ description: "auto: pretty on a terminal, else json." }),
  }).prefault({}),
  services: list(service).prefault([]).meta({ description: "What is published, and where it runs." }),
}).meta({ title: "portmesh configuration" });

/** A file that fits the schema, in the file's own key names, with defaults filled in. */
export type ConfigFile = z.output<typeof fileSchema>;

export { prefix as prefixEntry, service as serviceTable };
