/**
 * Whether one local address could be meant by two bind rules. What addresses an interface has is not known here: an
 * interface could hold any address, and two interfaces of different names are taken as disjoint.
 */
import { type Prefix, parsePrefix } from "../wire/index.ts";

/** null and [] are every address. */
export function canBindsOverlap(one: readonly string[] | null, other: readonly string[] | null): boolean {
  if (one === null || other === null || one.length === 0 || other.length === 0) return true;
  return one.some((left) => other.some((right) => canRulesOverlap(left, right)));
}

function canRulesOverlap(left: string, right: string): boolean {
  const one = readRule(left);
  const other = readRule(right);
  if (one === null && other === null) return left === right;
  if (one === null || other === null) return true;
  return one.family === other.family && haveCommonAddress(one, other);
}

/** null for an interface name. The wildcard addresses stand for their whole family. */
function readRule(rule: string): Prefix | null {
  return parsePrefix(rule === "0.0.0.0" || rule === "::" ? `${rule}/0` : rule);
}

function haveCommonAddress(one: Prefix, other: Prefix): boolean {
  const bits = Math.min(one.lengthBits, other.lengthBits);
  return one.network.every((byte, index) => {
    const known = Math.min(8, Math.max(0, bits - index * 8));
    const mask = (0xff00 >> known) & 0xff;
    return ((byte ^ other.network[index]!) & mask) === 0;
  });
}
