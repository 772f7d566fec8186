/** Bind rules: the addresses, prefixes and interface names that say where a node listens. */
import { haveCommonAddress, type Prefix, parsePrefix } from "../wire/index.ts";
import { canonicalAddress, canonicalPrefix } from "./address.ts";

/** Linux: IFNAMSIZ is 16 with the final NUL. A name of digits and dots only would hide a mistyped address. */
const INTERFACE_NAME = /^(?![\d.]+$)[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,14}$/;

/** The canonical spelling, or null. */
export function canonicalBind(text: string): string | null {
  if (text.includes("/")) return canonicalPrefix(text);
  return canonicalAddress(text) ?? (INTERFACE_NAME.test(text) ? text : null);
}

/**
 * Whether one local address can match two lists of rules; null and [] are every address. The addresses of interfaces are
 * not known here: an interface may have any address, and two interfaces of different names have none in common.
 */
export function canBindsOverlap(one: readonly string[] | null, other: readonly string[] | null): boolean {
  if (one === null || other === null || one.length === 0 || other.length === 0) return true;
  return one.some((left) => other.some((right) => canRulesOverlap(left, right)));
}

function canRulesOverlap(left: string, right: string): boolean {
  if (left === right) return true;
  const one = readRule(left);
  const other = readRule(right);
  if (one === null && other === null) return false;
  return one === null || other === null || haveCommonAddress(one, other);
}

/** null for an interface name. The wildcard addresses stand for their whole family. */
function readRule(rule: string): Prefix | null {
  return parsePrefix(rule === "0.0.0.0" || rule === "::" ? `${rule}/0` : rule);
}
