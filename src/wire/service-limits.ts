/**
 * How much one service, one file and the labels of a node may hold. One place, because whatever the file's check and the
 * commands accept has to fit into the catalog's records: the folders that check it import nothing of each other.
 */

/** In the file of one node. */
export const MAX_SERVICES_PER_FILE = 4_096;
export const MAX_TASKS_PER_NODE = 10_000;
/** After its ranges are expanded. */
export const MAX_PORTS_PER_SERVICE = 16_384;
/** Of one list: allow, deny, accept_proxy, bind. */
export const MAX_LIST_ENTRIES = 1_024;
export const MAX_LABELS = 64;
/** "[" IPv6 or a DNS name of 253 "]:65535". */
export const MAX_TASK_NAME_LENGTH = 261;

/** Of the lists of a service together, as JSON: with the rest of its record it stays below 64 KiB. */
const MAX_SERVICE_BYTES = 60 * 1024;
/** Of all labels, as JSON in ASCII: a node record has room for its failed listeners beside them. */
const MAX_LABEL_BYTES = 8 * 1024;
/** `["tcp",65535,65535,16384,"ingress"],` */
const PORT_RUN_BYTES = 38;
/** A character that is not ASCII is written as \uXXXX. */
const ESCAPED_BYTES = 6;

export interface LimitedService {
  readonly publish: readonly LimitedRange[];
  readonly acceptProxy: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly bind: readonly string[] | null;
  readonly nodes: Readonly<Record<string, string>>;
}

/** A port, or neighbours. */
export interface LimitedRange {
  readonly protocol: string;
  readonly published: number;
  readonly target: number;
  readonly mode: string;
  /** Default: 1 */
  readonly count?: number;
}

/** Where a service passes a limit. */
export interface Excess {
  readonly field: keyof LimitedService;
  readonly message: string;
}

/** The first limit the service passes; null: none. */
export function findExcess(service: LimitedService): Excess | null {
  const ports = service.publish.reduce((sum, { count = 1 }) => sum + count, 0);
  if (ports > MAX_PORTS_PER_SERVICE) {
    return { field: "publish", message: `${ports} ports: a service has at most ${MAX_PORTS_PER_SERVICE}` };
  }
  for (const field of ["acceptProxy", "allow", "deny", "bind"] as const) {
    const { length } = service[field] ?? [];
    if (length > MAX_LIST_ENTRIES)
      return { field, message: `${length} entries: at most ${MAX_LIST_ENTRIES} are allowed` };
  }
  const labels = findLabelFault(service.nodes);
  if (labels !== null) return { field: "nodes", message: labels };
  return findSize(service);
}

/** What is wrong with labels whose keys are right; null: nothing. */
export function findLabelFault(labels: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) return `${entries.length} labels: at most ${MAX_LABELS} are allowed`;
  const [unprintable] = entries.find(([, value]) => /\p{Cc}/u.test(value)) ?? [];
  if (unprintable !== undefined) return `the value of ${unprintable} contains a control character`;
  const bytes = labelBytes(labels);
  return bytes > MAX_LABEL_BYTES ? `${bytes} bytes of labels: at most ${MAX_LABEL_BYTES} are allowed` : null;
}

function findSize(service: LimitedService): Excess | null {
  const sizes = {
    publish: countRuns(service.publish) * PORT_RUN_BYTES,
    acceptProxy: listBytes(service.acceptProxy),
    allow: listBytes(service.allow),
    deny: listBytes(service.deny),
    bind: listBytes(service.bind ?? []),
    nodes: labelBytes(service.nodes),
  };
  const total = Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0);
  if (total <= MAX_SERVICE_BYTES) return null;
  const fields = Object.keys(sizes) as (keyof LimitedService)[];
  const field = fields.reduce((most, other) => (sizes[other] > sizes[most] ? other : most));
  const share = `${sizes[field]} of ${total} bytes of the service's lists`;
  return { field, message: `${share}: ${MAX_SERVICE_BYTES} are allowed; divide it into several services` };
}

/** Ranges that continue the one before are one run. */
function countRuns(ranges: readonly LimitedRange[]): number {
  return ranges.filter((range, index) => !continues(ranges[index - 1], range)).length;
}

function continues(before: LimitedRange | undefined, range: LimitedRange): boolean {
  if (before === undefined) return false;
  const { count = 1 } = before;
  return (
    before.protocol === range.protocol &&
    before.mode === range.mode &&
    before.published + count === range.published &&
    before.target + count === range.target
  );
}

function listBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length + 3, 0);
}

function labelBytes(labels: Readonly<Record<string, string>>): number {
  return Object.entries(labels).reduce((sum, [key, value]) => sum + key.length + textBytes(value) + 6, 0);
}

function textBytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 0x20 || code > 0x7e ? ESCAPED_BYTES : code === 0x22 || code === 0x5c ? 2 : 1;
  }
  return bytes;
}
