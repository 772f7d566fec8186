/**
 * The rules of a service as zod schemas. The file takes the fields and spells some of them differently; requests and
 * records have the schema of the whole. So what one of them accepts, all of them accept.
 */

import { z } from "zod";
import { canonicalHost, canonicalPrefix } from "./address.ts";
import { canonicalBind } from "./bind-rule.ts";
import { checkSchema } from "./check-schema.ts";
import { MAX_CLIENT_RATE, parseRate, perClient, RATE_PATTERN } from "./client-limits.ts";
import {
  canonicalText,
  choice,
  complain,
  describeFault,
  flag,
  integer,
  labels,
  nonEmptyList,
  parsedText,
  shortList,
} from "./fields.ts";
import {
  MAX_CONNECTIONS,
  MAX_DURATION_MS,
  MAX_LIST_ENTRIES,
  MAX_PORT,
  MAX_UDP_RESPONSES,
  MAX_UDP_SESSIONS,
  MAX_WEIGHT,
} from "./limits.ts";
import {
  isNodeName,
  isServiceName,
  isTaskName,
  MAX_TASK_NAME_LENGTH,
  NODE_NAME_PATTERN,
  SERVICE_NAME_PATTERN,
} from "./names.ts";
import {
  findUselessCheckOptions,
  NAMES_ARE_OF_TLS,
  V1_CARRIES_TCP_ONLY,
  whyNoCheckPort,
} from "./option-rules.ts";
import { collapsePorts, expandRanges, type PortRange } from "./port-range.ts";
import { canonicalServerName, SERVER_NAME_PATTERN } from "./server-names.ts";
import {
  BALANCES,
  type PortSpec,
  PREFERENCES,
  PROTOCOLS,
  PUBLISH_MODES,
  SEND_PROXY,
  type ServiceRules,
  type ServiceSpec,
  UDP_MODES,
} from "./service.ts";
import { findPortExcess, findRepeatedPort, findSizeFault } from "./service-size.ts";
import { showValue } from "./show-value.ts";

/**
 * Protocol of a run of ports with server names. Versions that do not know them cannot read the record, and leave the
 * service to other nodes: they would send it every client of the port.
 */
const TLS = "tls";

export const serviceName = canonicalText(
  "a service name: a letter or digit, then letters, digits, '_', '.' or '-', at most 63 characters",
  (text) => (isServiceName(text) ? text : null),
  SERVICE_NAME_PATTERN,
);

export const nodeName = canonicalText(
  "a name: a letter or digit, then letters, digits, '_', '.' or '-', at most 128 characters",
  (text) => (isNodeName(text) ? text : null),
  NODE_NAME_PATTERN,
);

export const taskName = canonicalText(
  `a task name: printable ASCII without spaces, at most ${MAX_TASK_NAME_LENGTH} characters`,
  (text) => (isTaskName(text) ? text : null),
);

export const host = canonicalText("an IP address or a DNS name", canonicalHost);
export const port = integer(1, MAX_PORT);
export const weight = integer(1, MAX_WEIGHT);
export const protocol = choice(PROTOCOLS);
export const publishMode = choice(PUBLISH_MODES);
export const prefix = canonicalText("an IP address or a CIDR prefix like 192.0.2.0/24", canonicalPrefix);
export const bindList = shortList(
  canonicalText("an IP address, a CIDR prefix or an interface name", canonicalBind),
);

const serverName = canonicalText(
  'a DNS name like "a.example.org" or "*.example.org"',
  canonicalServerName,
  SERVER_NAME_PATTERN,
);

/** Of a published port. */
export const serverNames = nonEmptyList(serverName).superRefine((names, context) => {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) complain(context, `"${twice}" is there twice`);
  if (names.length > MAX_LIST_ENTRIES)
    complain(context, `${names.length} entries: at most ${MAX_LIST_ENTRIES} are allowed`);
});

/** At least one of them, and not too many ports in all. */
export function publishList<T extends z.ZodType<PortRange>>(entry: T) {
  return nonEmptyList(entry).superRefine((ranges, context) => complain(context, findPortExcess(ranges)));
}

export const udpFields = {
  mode: choice(UDP_MODES),
  idleTimeoutMs: integer(1, MAX_DURATION_MS),
  maxSessions: integer(1, MAX_UDP_SESSIONS),
  responses: integer(0, MAX_UDP_RESPONSES),
};

/** In the file's spelling: "20/s". */
export const clientRate = parsedText(
  'a rate like "20/s" or "600/m"',
  (text) => {
    const value = parseRate(text);
    if (value !== null) return { value };
    return { error: `${showValue(text)} is not a rate like "20/s" or "600/m", up to ${MAX_CLIENT_RATE}` };
  },
  RATE_PATTERN,
);

export const clientPrefixFields = { ipv4: integer(1, 32), ipv6: integer(1, 128) };

const clientLimitFields = {
  maxConnections: integer(0, MAX_CONNECTIONS),
  maxSessions: integer(0, MAX_UDP_SESSIONS),
};
const rateCount = integer(1, MAX_CLIENT_RATE);

/** As requests spell it. */
const clientLimits = z.strictObject({
  ...clientLimitFields,
  rate: z.strictObject({ count: rateCount, perMs: z.literal([1000, 60_000]) }).nullable(),
  prefix: z.strictObject(clientPrefixFields),
});
/** As records spell it: other keys may be there. */
const storedClientLimits = z.object({
  ...clientLimitFields,
  rate: z.object({ count: rateCount, perMs: integer(1, MAX_DURATION_MS) }).nullable(),
  prefix: z.object(clientPrefixFields),
});

export const ruleFields = {
  balance: choice(BALANCES),
  prefer: choice(PREFERENCES),
  sendProxy: choice(SEND_PROXY),
  acceptProxy: shortList(prefix),
  allow: shortList(prefix),
  deny: shortList(prefix),
  bind: bindList,
  nodes: labels(),
  maxConnections: integer(0, MAX_CONNECTIONS),
  idleTimeoutMs: integer(0, MAX_DURATION_MS),
  drainTimeoutMs: integer(0, MAX_DURATION_MS),
  panic: flag(),
  slowStartMs: integer(0, MAX_DURATION_MS),
};

export const taskFields = {
  name: taskName,
  host,
  port: port.nullable(),
  weight,
  isBackup: flag().exactOptional(),
};

export const DEFAULT_RULES: ServiceRules = {
  balance: "round-robin",
  prefer: "any",
  sendProxy: "none",
  acceptProxy: [],
  allow: ["0.0.0.0/0", "::/0"],
  deny: [],
  bind: null,
  nodes: {},
  maxConnections: 0,
  idleTimeoutMs: 0,
  drainTimeoutMs: 30_000,
  check: null,
  panic: true,
  slowStartMs: 0,
  udp: { mode: "session", idleTimeoutMs: 90_000, maxSessions: 65_536, responses: 0 },
};

const portSpec = z
  .strictObject({
    protocol,
    published: port,
    target: port,
    mode: publishMode,
    sni: serverNames.optional(),
  })
  .superRefine(checkNames)
  .transform(({ sni, ...spec }): PortSpec => (sni === undefined ? spec : { ...spec, sni }));

/** Only TLS over TCP has server names. */
export function checkNames(
  { protocol, sni }: { readonly protocol: string; readonly sni?: unknown },
  context: z.RefinementCtx,
): void {
  if (protocol === "udp" && sni !== undefined) complain(context, NAMES_ARE_OF_TLS, ["sni"]);
}

/** As requests spell it: no other keys than those of the model. */
export const serviceSpec = z
  .strictObject({
    ...ruleFields,
    publish: nonEmptyList(portSpec).superRefine((ports, context) =>
      checkPorts(collapsePorts(ports), context),
    ),
    bind: ruleFields.bind.nullable(),
    perClient: clientLimits.exactOptional(),
    check: checkSchema((shape) => z.strictObject(shape))
      .nullable()
      .default(null),
    panic: ruleFields.panic.default(DEFAULT_RULES.panic),
    slowStartMs: ruleFields.slowStartMs.default(DEFAULT_RULES.slowStartMs),
    udp: z.strictObject({ ...udpFields, responses: udpFields.responses.default(0) }),
  })
  .superRefine(checkTogether)
  .transform(withoutIdleLimits);

/** As records spell it: ports as ranges (toPortRuns), other keys may be there. */
export const storedServiceSpec = z
  .object({
    ...ruleFields,
    publish: z.array(portRun()).min(1).superRefine(checkPorts),
    bind: ruleFields.bind.nullable(),
    perClient: storedClientLimits.exactOptional(),
    check: checkSchema((shape) => z.object(shape))
      .nullable()
      .default(null),
    panic: ruleFields.panic.default(DEFAULT_RULES.panic),
    slowStartMs: ruleFields.slowStartMs.default(DEFAULT_RULES.slowStartMs),
    udp: z.object({ ...udpFields, responses: udpFields.responses.default(0) }),
  })
  .superRefine(checkTogether)
  .transform((spec) => withoutIdleLimits({ ...spec, publish: expandRanges(spec.publish) }));

type StoredPortRun = readonly [
  protocol: string,
  published: number,
  target: number,
  count: number,
  mode: string,
  sni?: readonly string[],
];

/** What storedServiceSpec reads as `publish`: a range of thousands of ports is as short as one port. */
export function toPortRuns(ports: ServiceSpec["publish"]): StoredPortRun[] {
  return collapsePorts(ports).map(({ protocol, published, target, count, mode, sni }) =>
    sni === undefined
      ? [protocol, published, target, count, mode]
      : [TLS, published, target, count, mode, sni],
  );
}

function portRun() {
  return z
    .tuple([choice([...PROTOCOLS, TLS]), port, port, integer(1, MAX_PORT), publishMode])
    .rest(z.unknown())
    .transform(([protocol, published, target, count, mode, names], context): PortRange => {
      const last = Math.max(published, target) + count - 1;
      if (last > MAX_PORT) complain(context, `${last} is outside 1..${MAX_PORT}`);
      const range = { published, target, count, mode };
      if (protocol !== TLS) return { protocol, ...range };
      const { data: sni, error } = serverNames.safeParse(names);
      if (error !== undefined) complain(context, describeFault(error));
      return { protocol: "tcp", ...range, ...(sni !== undefined && { sni }) };
    });
}

function checkPorts(ranges: readonly PortRange[], context: z.RefinementCtx): void {
  complain(context, findPortExcess(ranges) ?? findRepeatedPort(ranges));
}

/** Limits that limit nothing are none. */
function withoutIdleLimits({ perClient: limits, ...spec }: ServiceSpec): ServiceSpec {
  return limits === undefined ? spec : { ...spec, ...perClient(limits) };
}

/** The rules about several fields. */
function checkTogether(spec: ServiceSpec, context: z.RefinementCtx): void {
  const hasUdp = spec.publish.some(({ protocol }) => protocol === "udp");
  if (spec.sendProxy === "v1" && hasUdp) complain(context, V1_CARRIES_TCP_ONLY, ["sendProxy"]);
  const protocols = new Set(spec.publish.map(({ protocol }) => protocol));
  if (spec.check !== null) complain(context, whyNoCheckPort(spec.check, protocols), ["check"]);
  for (const { option, message } of findUselessCheckOptions(spec)) complain(context, message, [option]);
  const fault = findSizeFault(spec);
  if (fault !== null) complain(context, fault.message, [fault.field]);
}
