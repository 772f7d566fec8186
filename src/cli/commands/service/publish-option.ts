/**
 * `--publish` and `--publish-rm` as `docker service` reads them: the short form PUBLISHED:TARGET[/tcp|/udp], with
 * ranges as in the file, and the long form published=8080,target=80,protocol=tcp,mode=host with its keys in any order.
 * Only portmesh knows sni=NAME, which may be there several times.
 * Capitals do not count. What Docker would do and portmesh does not (random ports, SCTP) is refused in words.
 */
import {
  expandRanges,
  isPort,
  NAMES_ARE_OF_TLS,
  type PortRange,
  type PortSpec,
  parsePublish,
  serverNames,
  showValue,
} from "../../../model/index.ts";

export type ParsedOption<T> = { readonly value: T } | { readonly error: string };

/** What `--publish-rm` names; null: any. */
export interface PortPattern {
  readonly protocol: PortSpec["protocol"];
  readonly target: number;
  readonly published: number | null;
  readonly mode: PortSpec["mode"] | null;
  readonly sni?: readonly string[] | null;
}

interface LongForm {
  readonly published: number | null;
  readonly target: number;
  readonly protocol: PortSpec["protocol"];
  readonly mode: PortSpec["mode"] | null;
  readonly sni: readonly string[] | null;
}

const KEYS = ["published", "target", "protocol", "mode", "sni"] as const;
const RANDOM =
  "names no published port: Docker would pick a random one, portmesh publishes the port you name, e.g.";

/** Every port of a range. */
export function parsePublishOption(text: string): ParsedOption<readonly PortSpec[]> {
  const lower = text.trim().toLowerCase();
  if (lower.includes("=")) return parseLongPublish(lower);
  const targetOnly = /^:?(\d+(?:-\d+)?)(\/(?:tcp|udp))?$/.exec(lower);
  if (targetOnly !== null) {
    return { error: `${RANDOM} ${targetOnly[1]}:${targetOnly[1]}${targetOnly[2] ?? ""}` };
  }
  const range = parseShort(lower);
  return "error" in range ? range : { value: expandRanges([range]).map(asIngress) };
}

/** Docker matches by target port and protocol; a published port that is given must be right, too. */
export function parsePublishRemoval(text: string): ParsedOption<readonly PortPattern[]> {
  const lower = text.trim().toLowerCase();
  if (lower.includes("=")) {
    const long = parseLong(lower);
    return "error" in long ? long : { value: [long.value] };
  }
  const range = parseShort(lower);
  if ("error" in range) return range;
  const isTargetOnly = !lower.includes(":");
  const patterns = expandRanges([range]).map(({ protocol, target, published }) => ({
    protocol,
    target,
    published: isTargetOnly ? null : published,
    mode: null,
  }));
  return { value: patterns };
}

export function matchesPort(pattern: PortPattern, port: PortSpec): boolean {
  return (
    pattern.protocol === port.protocol &&
    pattern.target === port.target &&
    (pattern.published ?? port.published) === port.published &&
    (pattern.mode ?? port.mode) === port.mode &&
    (pattern.sni == null || Bun.deepEquals(pattern.sni, port.sni))
  );
}

function parseLongPublish(text: string): ParsedOption<readonly PortSpec[]> {
  const long = parseLong(text);
  if ("error" in long) return long;
  const { published, target, protocol, mode, sni } = long.value;
  if (published === null) return { error: `${RANDOM} published=${target},target=${target}` };
  return {
    value: [{ protocol, published, target, mode: mode ?? "ingress", ...(sni !== null && { sni }) }],
  };
}

function parseLong(text: string): ParsedOption<LongForm> {
  const fields = new Map<string, string>();
  const names: string[] = [];
  for (const field of text.split(",")) {
    const [key = "", value, ...more] = field.split("=").map((part) => part.trim());
    if (value === undefined || more.length > 0) return { error: `${showValue(field)} is not KEY=VALUE` };
    if (!KEYS.some((known) => known === key)) {
      return { error: `unknown key ${showValue(key)}: the keys are ${KEYS.join(", ")}` };
    }
    if (key === "sni") names.push(value);
    else if (fields.has(key)) return { error: `${key} is given twice` };
    fields.set(key, value);
  }
  return readFields(fields, names);
}

function readFields(fields: ReadonlyMap<string, string>, names: readonly string[]): ParsedOption<LongForm> {
  const protocol = fields.get("protocol")?.toLowerCase() ?? "tcp";
  if (protocol !== "tcp" && protocol !== "udp") return { error: notAProtocol(protocol) };
  const mode = fields.get("mode") ?? null;
  if (mode !== null && mode !== "ingress" && mode !== "host") {
    return { error: `mode=${mode}: the modes are ingress and host` };
  }
  const target = fields.get("target");
  if (target === undefined) return { error: "target is missing: the port of the tasks, e.g. target=80" };
  const published = fields.get("published") ?? null;
  for (const [key, text] of [
    ["target", target],
    ["published", published],
  ] as const) {
    const isWrong = text !== null && !(/^\d{1,5}$/.test(text) && isPort(Number(text)));
    if (isWrong) return { error: `${key}=${text} is outside 1..65535${hintOf(text)}` };
  }
  const sni = names.length === 0 ? null : serverNames.safeParse(names);
  if (sni?.error !== undefined) return { error: `sni: ${sni.error.issues[0]?.message}` };
  if (sni !== null && protocol === "udp") return { error: `sni ${NAMES_ARE_OF_TLS}` };
  return {
    value: {
      protocol,
      mode,
      target: Number(target),
      published: published === null ? null : Number(published),
      sni: sni?.data ?? null,
    },
  };
}

function hintOf(text: string): string {
  return /^\d+-\d+$/.test(text) ? ": ranges have the short form, e.g. 30000-30009:30000-30009" : "";
}

function parseShort(text: string): PortRange | { readonly error: string } {
  const protocol = /^[\d:-]+\/(.*)$/.exec(text)?.[1]?.toLowerCase();
  if (protocol !== undefined && protocol !== "tcp" && protocol !== "udp") {
    return { error: notAProtocol(protocol) };
  }
  if (/^(\[.*\]|.*:.*):\d/.test(text)) {
    return { error: "the short form takes no address: name it with --bind" };
  }
  return parsePublish(text);
}

function notAProtocol(text: string): string {
  return `${showValue(text)} is not a protocol: tcp or udp`;
}

function asIngress(port: Omit<PortSpec, "mode">): PortSpec {
  return { ...port, mode: "ingress" };
}
