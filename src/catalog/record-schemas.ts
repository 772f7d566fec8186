/** Records as the value of their entry spells them, by kind: the model's rules, and those of what only records have. */

import { z } from "zod";
import {
  bindList,
  canonicalAddress,
  canonicalText,
  choice,
  flag,
  integer,
  isMemberName,
  labels,
  list,
  MAX_NODE_NAME_LENGTH,
  notA,
  port,
  serviceName,
  storedServiceSpec,
  taskFields,
  taskName,
} from "../model/index.ts";
import {
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  MAX_COUNTER,
  MAX_DOWN_PORTS,
  MAX_DOWN_TASKS,
  MAX_FILE_LENGTH,
  MAX_HEALTH_REASON_LENGTH,
  MAX_INTERFACE_NAME_LENGTH,
  MAX_NODE_ADDRESSES,
  MAX_TASK_ADDRESSES,
} from "./limits.ts";
import { HEALTH_STATES } from "./records.ts";

const MAX_VERSION_LENGTH = 64;
const MAX_VNI = 2 ** 24 - 1;

export const memberName = matching(`a node name of at most ${MAX_NODE_NAME_LENGTH} characters`, isMemberName);
const ipAddress = canonicalText("an IP address", canonicalAddress);
const ipv4Address = matching("an IPv4 address", (text) => /^[\d.]+$/.test(canonicalAddress(text) ?? ""));
const publicKey = matching("hex of 32 bytes", (text) => /^[0-9a-f]{64}$/.test(text));
const portKey = matching('a port like "tcp 8080"', (text) => /^(?:tcp|udp) [1-9][0-9]{0,4}$/.test(text));
const timeMs = integer(0, Number.MAX_SAFE_INTEGER);
const bindErrorText = plainText(MAX_BIND_ERROR_LENGTH);

const service = object({
  spec: storedServiceSpec,
  created: stamp(1),
  createdAtMs: timeMs,
  updatedAtMs: timeMs,
});

const health = object({
  state: choice(HEALTH_STATES),
  reason: plainText(MAX_HEALTH_REASON_LENGTH),
  since: timeMs,
});

const task = object({
  host: taskFields.host,
  port: taskFields.port,
  weight: taskFields.weight,
  isBackup: taskFields.isBackup,
  isDraining: flag(),
  origin: choice(["file", "api"]),
  health: health.optional().catch(undefined), // of a newer version: as one that is not checked
});

const overlay = object({
  driver: choice(["kernel", "userspace", "none"]),
  address: ipv4Address.nullable(),
  vni: integer(1, MAX_VNI),
  port,
  encrypt: flag(),
  publicKey: publicKey.nullable(),
});

const network = object({
  addresses: upTo(MAX_NODE_ADDRESSES, z.tuple([plainText(MAX_INTERFACE_NAME_LENGTH), ipAddress])),
  bind: bindList,
});

const downTask = z
  .tuple([serviceName, taskName, upTo(MAX_DOWN_PORTS, portKey)])
  .transform(([service, task, ports]) => ({ service, task, ports }));

const node = object({
  labels: labels(),
  relay: object({ address: ipAddress, port, udpPort: port.optional() }).nullable(),
  overlay: overlay.nullable().default(null),
  isDraining: flag(),
  version: plainText(MAX_VERSION_LENGTH),
  bindErrors: upTo(MAX_BIND_ERRORS, z.tuple([bindErrorText, bindErrorText, bindErrorText])),
  downTasks: upTo(MAX_DOWN_TASKS, downTask).default([]),
  network: network.optional(),
  taskAddresses: upTo(MAX_TASK_ADDRESSES, z.tuple([serviceName, taskName, ipAddress])).optional(),
});

export const recordSchemas = {
  service,
  declaration: service.extend({ changed: stamp(0), file: plainText(MAX_FILE_LENGTH) }),
  directive: object({ directive: choice(["drain", "forget"]) }),
  task,
  node,
};

export function stamp(leastCounter: number) {
  return z
    .tuple([integer(leastCounter, MAX_COUNTER), memberName])
    .transform(([counter, node]) => ({ counter, node }));
}

function matching(what: string, isValid: (text: string) => boolean) {
  return canonicalText(what, (text) => (isValid(text) ? text : null));
}

/** Without control characters. */
function plainText(maxLength: number) {
  return matching(
    `a text of at most ${maxLength} characters without control characters`,
    (text) => text.length <= maxLength && !/\p{Cc}/u.test(text),
  );
}

function upTo<T extends z.ZodType>(maxLength: number, entry: T) {
  return list(entry).max(maxLength, {
    error: ({ input }) =>
      `has ${(input as readonly unknown[]).length} entries: at most ${maxLength} are allowed`,
  });
}

/** Other keys may be there: newer versions may add some. */
function object<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.object(shape, { error: notA("an object") });
}
