/**
 * The publish grammar: PUBLISHED[:TARGET][/tcp|/udp], where both sides are a port or ranges of equal length.
 * Ranges stay ranges until a file is known to be right, so that no input costs more memory than its own length.
 */
import { canonicalAddress } from "./address.ts";
import { MAX_PORT } from "./limits.ts";
import { formatServerNames, haveEqualNames, serverNamesOf } from "./server-names.ts";
import type { PortSpec } from "./service.ts";
import { showValue } from "./show-value.ts";

/** `count` ports that follow each other on both sides; `published` and `target` are the first. */
export interface PortRange extends PortSpec {
  readonly count: number;
}

export const PUBLISH_PATTERN = "^\\d+(-\\d+)?(:\\d+(-\\d+)?)?(/([tT][cC][pP]|[uU][dD][pP]))?$";

const GRAMMAR = /^(\d+)(?:-(\d+))?(?::(\d+)(?:-(\d+))?)?(?:\/(tcp|udp))?$/i;
/** Docker's ADDRESS:PUBLISHED[:TARGET]. */
const WITH_ADDRESS = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^[\]]+)$/;

/** The range, or what is wrong with it. */
export function parsePublish(text: string): PortRange | { readonly error: string } {
  const match = GRAMMAR.exec(text);
  if (match === null) return { error: explainPublish(text) };
  const published = Number(match[1]);
  const lastPublished = Number(match[2] ?? published);
  const target = Number(match[3] ?? published);
  const lastTarget = Number(match[4] ?? match[3] ?? lastPublished);
  const outside = [published, lastPublished, target, lastTarget].find((port) => !isPort(port));
  if (outside !== undefined) return { error: `${outside} is outside 1..65535` };
  if (lastPublished < published) return { error: `${published}-${lastPublished} runs backwards` };
  if (lastTarget < target) return { error: `${target}-${lastTarget} runs backwards` };
  const count = lastPublished - published + 1;
  const targetCount = lastTarget - target + 1;
  if (count !== targetCount) {
    return {
      error: `${count} published and ${targetCount} target ports: both ranges must have the same length`,
    };
  }
  return {
    protocol: match[5]?.toLowerCase() === "udp" ? "udp" : "tcp",
    published,
    target,
    count,
    mode: "ingress",
  };
}

function explainPublish(text: string): string {
  const notPublish = `${showValue(text)} is not PUBLISHED:TARGET[/tcp|/udp]`;
  const [, bracketed, plain, ports = ""] = WITH_ADDRESS.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  if (canonicalAddress(address) !== null && GRAMMAR.test(ports))
    return `${notPublish}: for one address publish ${showValue(ports)} and set bind = [${showValue(address)}]`;
  if (/^[a-z]/i.test(address) && GRAMMAR.test(ports))
    return `${notPublish}: publish ${showValue(ports)} and name the address or interface in bind`;
  const [, portsFirst, protocolLast] = /^([\d:-]+):(tcp|udp)$/i.exec(text) ?? [];
  if (portsFirst !== undefined) return `${notPublish}: write ${showValue(`${portsFirst}/${protocolLast}`)}`;
  const protocol = /^[\d:-]+\/(\w+)$/.exec(text)?.[1];
  return protocol === undefined ? notPublish : `${notPublish}: "${protocol}" is not supported`;
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= MAX_PORT;
}

/** "30000-30009:30000-30009/tcp", "443:8443/tcp sni a.example.org" */
export function formatRange(range: Omit<PortRange, "mode">): string {
  const { protocol, published, target, count } = range;
  const last = count - 1;
  const names = formatServerNames(range);
  if (last === 0) return `${published}:${target}/${protocol}${names}`;
  return `${published}-${published + last}:${target}-${target + last}/${protocol}${names}`;
}

export function expandRanges(ranges: readonly PortRange[]): PortSpec[] {
  return ranges.flatMap(({ protocol, published, target, count, mode, ...rest }) =>
    Array.from({ length: count }, (_, index) => ({
      protocol,
      published: published + index,
      target: target + index,
      mode,
      ...serverNamesOf(rest),
    })),
  );
}

/** The reverse of expandRanges: neighbours in the list that are neighbours in both numbers become one range. */
export function collapsePorts(ports: readonly (PortSpec & { readonly count?: number })[]): PortRange[] {
  const ranges: (PortRange & { count: number })[] = [];
  for (const port of ports) {
    const { protocol, published, target, mode, count = 1 } = port;
    const last = ranges.at(-1);
    const isNext =
      last !== undefined &&
      last.protocol === protocol &&
      last.mode === mode &&
      haveEqualNames(last, port) &&
      last.published + last.count === published &&
      last.target + last.count === target;
    if (isNext) last.count += count;
    else ranges.push({ protocol, published, target, count, mode, ...serverNamesOf(port) });
  }
  return ranges;
}
