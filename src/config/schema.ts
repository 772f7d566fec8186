/**
 * The configuration file: every key that exists, its type, default and description. This is the one place where
 * the file's own spelling (snake_case, durations as text) is known; effective-config.ts writes it back.
 *
 * Each key is checked by itself here; rules about several keys are in cross-checks.ts.
 */

import { isIP } from "node:net";
import { NEVER, type z } from "zod";
import {
  anyOf,
  bindList,
  buildCheck,
  type Check,
  canonicalAddress,
  canonicalPrefix,
  checkFields,
  checkNames,
  choice,
  clientPrefixFields,
  clientRate,
  complain,
  DEFAULT_RULES,
  duration,
  findSizeFault,
  flag,
  formatDuration,
  host,
  integer,
  labels,
  list,
  MAX_UDP_SESSIONS,
  MIN_CHECK_INTERVAL_MS,
  NO_CLIENT_LIMITS,
  nodeName,
  type Parsed,
  type PortRange,
  PUBLISH_PATTERN,
  parsedText,
  parsePublish,
  parseTaskAddress,
  port,
  protocol,
  publishList,
  publishMode,
  ruleFields,
  serverNames,
  serviceName,
  shortList,
  showValue,
  type TaskAddress,
  table,
  udpFields,
  weight,
} from "../model/index.ts";
import { isWildcard } from "../wire/index.ts";
import { whyUnreachable } from "./unreachable-address.ts";

/** sockaddr_un.sun_path holds 108 bytes with the final NUL: unix(7). */
const maxSocketPathBytes = 107;
export const GOSSIP_PORT = 7946;
/** Two more follow it: of UDP relays and of path probes. */
const MAX_OVERLAY_PORT = 65_533;
const MAX_CONNECTION_RATE = 1_000_000;
const RECORDED = /^(off|errors|all|sampled:([2-9]|[1-9][0-9]{1,5}|1000000))$/;

const socketPath = parsedText("a path", (text): Parsed<string> => {
  const bytes = Buffer.byteLength(text);
  if (!text.startsWith("/")) return { error: `${showValue(text)} is not an absolute path` };
  if (text.includes("\0")) return { error: `${showValue(text)} contains a NUL character` };
  if (bytes > maxSocketPathBytes) {
    return { error: `a path of ${bytes} bytes is too long: a socket path has at most ${maxSocketPathBytes}` };
  }
  return { value: text };
});

export const directory = parsedText("a path", (text): Parsed<string> => {
  if (!text.startsWith("/")) return { error: `${showValue(text)} is not an absolute path` };
  return text.includes("\0") ? { error: `${showValue(text)} contains a NUL character` } : { value: text };
});

export const clusterKey = parsedText(
  "a key: base64 of 32 bytes, as `portmesh keygen` prints",
  (text): Parsed<string> => {
    const bytes = /^[A-Za-z0-9+/]+=*$/.test(text) ? Buffer.from(text, "base64") : null;
    const isCanonical =
      bytes !== null && bytes.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "");
    if (!isCanonical)
      return { error: "a key that is not base64: `portmesh keygen` prints one", quotesNothing: true };
    if ([16, 24, 32].includes(bytes.length)) return { value: bytes.toString("base64") };
    return {
      error: `a key of ${bytes.length} bytes: 16, 24 or 32 are allowed; \`portmesh keygen\` prints one`,
      quotesNothing: true,
    };
  },
);

export const filePath = parsedText("the path of a file", (text): Parsed<string> => {
  if (text === "") return { error: "empty: the path of a file is expected" };
  if (!text.startsWith("/") && clusterKey.safeParse(text).success) {
    return {
      error: "a key, and not the path of a file: write it to a file, or set cluster.keys",
      quotesNothing: true,
    };
  }
  return text.includes("\0") ? { error: `${showValue(text)} contains a NUL character` } : { value: text };
});

/** The shortest prefix is that of the largest private network, the longest leaves room for two nodes. */
const overlaySubnet = parsedText('an IPv4 prefix like "10.200.0.0/16"', (text): Parsed<string> => {
  const value = canonicalPrefix(text);
  if (value === null || !text.includes("/") || value.includes(":")) {
    return { error: `${showValue(text)} is not an IPv4 prefix like "10.200.0.0/16"` };
  }
  const length = Number(value.split("/")[1]);
  return length >= 8 && length <= 30
    ? { value }
    : { error: `/${length} is outside /8../30: every node gets an address of it` };
});

export const publishEntry = anyOf(
  'a port like "8080:80" or a table with published and target',
  [
    parsedText(
      'a port like "8080:80", "53:53/udp" or "30000-30009:30000-30009"',
      (text): Parsed<PortRange> => {
        const range = parsePublish(text);
        return "error" in range ? range : { value: range };
      },
      PUBLISH_PATTERN,
    ),
    table({
      published: port.meta({ description: "Port clients connect to." }),
      target: port
        .optional()
        .meta({ description: "Port of tasks that name none; default: the published port." }),
      protocol: protocol.default("tcp"),
      mode: publishMode.default("ingress").meta({
        description: "ingress: open on every node; host: only on nodes with a task, and only to that task.",
      }),
      sni: serverNames.optional().meta({
        description:
          "Only clients whose TLS ClientHello asks for one of these server names; *.example.org is every name below it.",
      }),
    })
      .superRefine(checkNames)
      .transform(
        ({ published, target, protocol, mode, sni }): PortRange => ({
          protocol,
          published,
          target: target ?? published,
          count: 1,
          mode,
          ...(sni !== undefined && { sni }),
        }),
      ),
  ],
  (input) => (typeof input === "number" ? `: write it as text, "${input}"` : ""),
);

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
    weight: weight.default(1).meta({ description: "Share of new connections." }),
    drain: flag().default(false).meta({ description: "No new connections; open ones continue." }),
    backup: flag().default(false).meta({ description: "Used only while no other task can be." }),
  }).transform(({ address, weight, drain, backup }) => ({
    ...address,
    weight,
    isDraining: drain,
    ...(backup && { isBackup: true }),
  })),
]);

const { udp: UDP_DEFAULTS, ...DEFAULTS } = DEFAULT_RULES;

const udp = table({
  mode: udpFields.mode.default(UDP_DEFAULTS.mode).meta({
    description: "session: a client keeps its task until it is idle; packet: every datagram picks a task.",
  }),
  idle_timeout: duration(1)
    .prefault("90s")
    .meta({ description: "A session without datagrams ends after this time." }),
  max_sessions: udpFields.maxSessions
    .default(UDP_DEFAULTS.maxSessions)
    .meta({ description: "At this number the longest idle session makes room." }),
  max_sessions_per_client: integer(0, MAX_UDP_SESSIONS)
    .default(NO_CLIENT_LIMITS.maxSessions)
    .meta({ description: "Sessions of one client per node; 0: no limit." }),
  responses: udpFields.responses.default(UDP_DEFAULTS.responses).meta({
    description: "A session ends once each of its datagrams has this many replies; 0: only when idle.",
  }),
});

const check = table({
  type: checkFields.type.meta({ description: "What a probe is." }),
  interval: duration(MIN_CHECK_INTERVAL_MS)
    .optional()
    .meta({ description: "From one probe to the next; default: 2s." }),
  timeout: duration(1).optional().meta({ description: "A probe without an answer fails; default: 1s." }),
  rise: checkFields.rise
    .optional()
    .meta({ description: "Successes in a row after which an unhealthy task is healthy; default: 2." }),
  fall: checkFields.fall
    .optional()
    .meta({ description: "Failures in a row after which a task is unhealthy; default: 3." }),
  port: checkFields.port
    .optional()
    .meta({ description: "Port that is probed; default: that of the task, else the first target port." }),
  method: checkFields.method.optional().meta({ description: "http: default GET." }),
  path: checkFields.path.optional().meta({ description: "http: default /." }),
  host: checkFields.host
    .optional()
    .meta({ description: "http: Host header; default: the address of the task." }),
  headers: checkFields.headers.optional().meta({ description: "http: more headers." }),
  status: checkFields.status
    .optional()
    .meta({ description: "http: what is a success: 200, 200-399 (the default), 200,204." }),
  send: checkFields.send
    .optional()
    .meta({ description: "send-expect, udp: what is sent: text, or bytes as hex:0d0a." }),
  expect: checkFields.expect
    .optional()
    .meta({ description: "send-expect, udp: what the answer has to contain: text, or bytes as hex:0d0a." }),
  command: checkFields.command
    .optional()
    .meta({ description: "exec: program with its whole path, and its arguments; exit code 0 is a success." }),
}).transform(({ interval, timeout, ...rest }, context): Check => {
  const built = buildCheck({ ...rest, intervalMs: interval, timeoutMs: timeout });
  if ("check" in built) return built.check;
  complain(context, built.message, [built.key.replace(/Ms$/, "")]);
  return NEVER;
});

const service = table({
  name: serviceName.meta({ description: "Unique in the file." }),
  publish: publishList(publishEntry).meta({
    description:
      "Published ports: PUBLISHED:TARGET[/tcp|/udp], ranges of equal length, or one port for both.",
  }),
  tasks: list(taskEntry)
    .prefault([])
    .meta({ description: "Tasks of this node; a task without a port gets the target port." }),
  balance: ruleFields.balance.default(DEFAULTS.balance).meta({ description: "How a task is picked." }),
  prefer: ruleFields.prefer.default(DEFAULTS.prefer).meta({
    description:
      "Tasks picked first, others when those fail: of any node, of this node, of nodes with the same zone label.",
  }),
  send_proxy: ruleFields.sendProxy
    .default(DEFAULTS.sendProxy)
    .meta({ description: "PROXY protocol header sent to the task; v1 is TCP only." }),
  accept_proxy: ruleFields.acceptProxy.prefault([...DEFAULTS.acceptProxy]).meta({
    description: "Clients that must send a PROXY protocol header; all others must not.",
  }),
  allow: ruleFields.allow
    .prefault([...DEFAULTS.allow])
    .meta({ description: "Clients that are served, unless deny matches." }),
  deny: ruleFields.deny
    .prefault([...DEFAULTS.deny])
    .meta({ description: "Clients that are rejected; deny wins over allow." }),
  bind: ruleFields.bind.optional().meta({ description: "Where to listen; default: proxy.bind." }),
  nodes: ruleFields.nodes.prefault({}).meta({
    description: "Only nodes with all these labels listen; default: every node.",
  }),
  max_connections: ruleFields.maxConnections
    .default(DEFAULTS.maxConnections)
    .meta({ description: "Open TCP connections per node; 0: no limit." }),
  max_connections_per_client: ruleFields.maxConnections
    .default(NO_CLIENT_LIMITS.maxConnections)
    .meta({ description: "Open TCP connections of one client per node; 0: no limit." }),
  rate_per_client: clientRate.optional().meta({
    description:
      "New TCP connections, and UDP sessions, of one client per node, like 20/s or 600/m; default: no limit.",
  }),
  client_prefix: table({
    ipv4: clientPrefixFields.ipv4.default(NO_CLIENT_LIMITS.prefix.ipv4),
    ipv6: clientPrefixFields.ipv6.default(NO_CLIENT_LIMITS.prefix.ipv6),
  })
    .optional()
    .meta({ description: "One client is all addresses with this prefix length in common." }),
  idle_timeout: duration(0)
    .prefault(formatDuration(DEFAULTS.idleTimeoutMs))
    .meta({ description: "A TCP connection without traffic is cut after this time; 0s: never." }),
  drain_timeout: duration(0).prefault(formatDuration(DEFAULTS.drainTimeoutMs)).meta({
    description: "How long connections to a draining or removed task may continue; 0s: cut at once.",
  }),
  check: check.optional().meta({ description: "Health check of the tasks; default: none." }),
  panic: flag()
    .default(DEFAULTS.panic)
    .meta({ description: "With check: unhealthy tasks are used while no task is healthy." }),
  slow_start: duration(0).prefault(formatDuration(DEFAULTS.slowStartMs)).meta({
    description: "With check: a task that becomes healthy gets its whole share after this time; 0s: at once.",
  }),
  udp: udp.prefault({}).meta({ description: "Rules for the UDP ports of the service." }),
}).superRefine((service, context) => {
  const fault = findSizeFault({
    ...service,
    acceptProxy: service.accept_proxy,
    bind: service.bind ?? null,
    check: service.check ?? null,
  });
  const path = fault?.field === "acceptProxy" ? "accept_proxy" : fault?.field;
  if (fault !== null) complain(context, fault.message, [String(path)]);
});

const seed = parsedText(
  'a node like "192.0.2.11", "edge.example.org:7946" or "[2001:db8::7]:7946"',
  (text): Parsed<{ readonly host: string; readonly port: number | null }> => {
    const address = parseTaskAddress(text);
    return "error" in address ? address : { value: address };
  },
);

export const gossipBind = parsedText(
  'an address like "192.0.2.10:7946" or "0.0.0.0:7946"',
  (text): Parsed<{ readonly host: string; readonly port: number }> => {
    const address = parseTaskAddress(text);
    if ("error" in address) return { error: `${showValue(text)} is not IP:PORT or [IPv6]:PORT` };
    if (isIP(address.host) === 0)
      return { error: `${showValue(address.host)} is a name: an IP address is required` };
    const reason = isWildcard(address.host) ? null : whyUnreachable(address.host);
    if (reason !== null) return { error: `${showValue(text)}: ${address.host} ${reason}` };
    return { value: { host: address.host, port: address.port ?? GOSSIP_PORT } };
  },
);

export const ownAddress = parsedText(
  "an IP address of this node that other nodes can reach",
  (text): Parsed<string> => {
    const address = canonicalAddress(text);
    const expected = "an IP address of this node that other nodes can reach";
    if (address === null) return { error: `${showValue(text)} is not ${expected}${scopeHint(text)}` };
    const reason = whyUnreachable(address);
    if (reason !== null) return { error: `${showValue(text)} ${reason}: set ${expected}` };
    return { value: address };
  },
);

/** "fe80::1%eth0" */
function scopeHint(text: string): string {
  return text.includes("%") ? ": an address with an interface is valid on this machine only" : "";
}

const cluster = table({
  name: serviceName.default("portmesh").meta({ description: "Clusters with different names never merge." }),
  keys: list(clusterKey).prefault([]).meta({
    description: "Base64 keys from `portmesh keygen`: the first encrypts, all decrypt.",
  }),
  keys_file: filePath.optional().meta({
    description: "File with one key on each line, instead of keys; watched like this file.",
  }),
  join: list(seed).prefault([]).meta({ description: "Seed nodes, by address or DNS name; retried forever." }),
  bind: gossipBind
    .prefault(`0.0.0.0:${GOSSIP_PORT}`)
    .meta({ description: "Address and port of gossip, TCP and UDP." }),
  profile: choice(["lan", "wan", "local"])
    .default("lan")
    .meta({ description: "Timing: how fast a failure is detected, and how much delay is tolerated." }),
  insecure: flag().default(false).meta({
    description: "Lets a node without keys listen on more than loopback.",
  }),
});

/** null: off. */
export const adminListen = parsedText(
  'an address like "127.0.0.1:7980", or "" for off',
  (text): Parsed<{ readonly host: string; readonly port: number } | null> => {
    if (text === "") return { value: null };
    const address = parseTaskAddress(text);
    const expected = 'an address like "127.0.0.1:7980" or "[::1]:7980"';
    if ("error" in address || address.port === null)
      return { error: `${showValue(text)} is not ${expected}` };
    if (isIP(address.host) === 0)
      return { error: `${showValue(address.host)} is a name: an IP address is required` };
    return { value: { host: address.host, port: address.port } };
  },
);

export const adminSchema = table({
  socket: socketPath.optional().meta({
    description:
      "Unix socket the commands connect to: an absolute path; default: /run/portmesh/portmesh.sock, else portmesh.sock " +
      "in the user's runtime directory, else in node.data_dir.",
  }),
  listen: adminListen.prefault("").meta({
    description:
      'Address of the HTTP API over TCP, "127.0.0.1:7980" for example; "": the API is on the socket only. Beyond ' +
      "loopback it requires tokens_file.",
  }),
  hosts: shortList(host).prefault([]).meta({
    description:
      "DNS names by which clients reach admin.listen; IP addresses and localhost are always allowed.",
  }),
  tokens_file: filePath.optional().meta({
    description:
      "File with `read-only TOKEN` or `read-write TOKEN` on each line, for clients of admin.listen; watched like this file.",
  }),
  tls_cert: filePath.optional().meta({
    description: "PEM file with the certificate of admin.listen and its chain; watched like this file.",
  }),
  tls_key: filePath.optional().meta({ description: "PEM file with the private key of tls_cert." }),
}).prefault({});

export const fileSchema = table({
  node: table({
    name: nodeName
      .optional()
      .meta({ description: "Name of this node, unique in the cluster; default: the host name." }),
    advertise: ownAddress.optional().meta({
      description:
        "Address other nodes reach this node at; default: the address of cluster.bind, else of the default route.",
    }),
    labels: labels()
      .prefault({})
      .meta({ description: "Services select nodes by labels; zone also means nearness." }),
    data_dir: directory.optional().meta({
      description:
        "Directory for state that survives a restart; default: /var/lib/portmesh, for users who may not write to it " +
        "~/.local/state/portmesh.",
    }),
    exec_checks: flag().default(false).meta({
      description: "Also run health checks of type exec that other nodes or commands define.",
    }),
  }).prefault({}),
  cluster: cluster.optional().meta({ description: "Without this table the node stands alone." }),
  overlay: table({
    driver: choice(["auto", "kernel", "userspace", "none"])
      .default("auto")
      .meta({
        description:
          "kernel: a VXLAN device; userspace: TUN and VXLAN in this process, every packet encrypted; none: relays between " +
          "node addresses; auto: kernel when nothing is encrypted and the machine allows it, otherwise none.",
      }),
    port: integer(1, MAX_OVERLAY_PORT).default(4789).meta({
      description: "UDP: VXLAN and relays; TCP: relays.",
    }),
    vni: integer(1, 16_777_215).default(4096).meta({ description: "VXLAN network identifier." }),
    subnet: overlaySubnet.prefault("10.200.0.0/16").meta({
      description: "Overlay addresses of the nodes are taken from it: the same on every node.",
    }),
    encrypt: flag().optional().meta({
      description: "Encrypt all traffic between nodes; default: true when cluster.keys is set.",
    }),
  }).prefault({}),
  proxy: table({
    workers: integer(0, 64).default(0).meta({ description: "Proxy threads; 0: one per core." }),
    bind: bindList.prefault([]).meta({
      description: "Where services listen: addresses, prefixes or interface names; []: every address.",
    }),
  }).prefault({}),
  admin: adminSchema,
  log: table({
    level: choice(["trace", "debug", "info", "warn", "error"])
      .default("info")
      .meta({ description: "Least severe lines written." }),
    format: choice(["auto", "json", "pretty"])
      .default("auto")
      .meta({ description: "auto: pretty on a terminal, otherwise json." }),
    connections: recordedConnections()
      .default("errors")
      .meta({
        description:
          "Finished connections and UDP sessions that have a line each: off, errors (all that did not end in order), all, or " +
          "sampled:N (errors, and one of N others).",
      }),
    connection_format: choice(["auto", "json", "pretty", "haproxy"])
      .default("auto")
      .meta({ description: "Format of these lines; auto: that of the log; haproxy: as its option tcplog." }),
    connection_rate: integer(1, MAX_CONNECTION_RATE).default(5_000).meta({
      description: "Such lines per second at most; the rest is counted.",
    }),
  }).prefault({}),
  services: list(service).prefault([]).meta({ description: "Services: published ports and tasks." }),
}).meta({ title: "portmesh configuration" });

function recordedConnections() {
  const what = '"off", "errors", "all" or "sampled:N" with N in 2..1000000';
  return parsedText(
    what,
    (text) => (RECORDED.test(text) ? { value: text } : { error: `${showValue(text)} is not ${what}` }),
    RECORDED.source,
  );
}

/** A file that fits the schema, in the file's own key names, with defaults filled in. */
export type ConfigFile = z.output<typeof fileSchema>;

export { service as serviceTable };
