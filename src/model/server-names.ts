/**
 * The server names by which several services share a TCP port: "a.example.org", or "*.example.org" for every name below
 * it, at any depth. An exact name wins over a wildcard, and a longer wildcard over a shorter one.
 */
import { isIP } from "node:net";
import type { PortSpec } from "./service.ts";

const MAX_NAME_LENGTH = 253;
const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);
export const SERVER_NAME_PATTERN = "^(\\*\\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\\.?$";
/** Of a port without names: it gets the clients that no other service of the port has. */
const ANY_NAME = "";
const ANY_NAMES: readonly string[] = [ANY_NAME];

interface WithNames {
  readonly sni?: PortSpec["sni"] | undefined;
}

/** In lower case, without a trailing dot; null: no client sends such a name. */
export function canonicalServerName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, "");
  const isName = name.length <= MAX_NAME_LENGTH && NAME.test(name) && isIP(name) === 0;
  return isName ? name : null;
}

/** As a client sends it: no wildcard. */
export function canonicalHostName(text: string): string | null {
  return text.startsWith("*") ? null : canonicalServerName(text);
}

/** What a published port claims: two services have a port both, unless they claim a name both. */
export function namesOfPort({ sni }: WithNames): readonly string[] {
  return sni ?? ANY_NAMES;
}

/**
 * Whose client it is.
 * @param byName as `namesOfPort` has them
 * @param serverName canonical; null: the client gives none
 */
export function findByServerName<T>(
  byName: ReadonlyMap<string, T>,
  serverName: string | null,
): T | undefined {
  if (serverName !== null && serverName !== ANY_NAME) {
    const exact = byName.get(serverName);
    if (exact !== undefined) return exact;
    for (let dot = serverName.indexOf("."); dot >= 0; dot = serverName.indexOf(".", dot + 1)) {
      const below = byName.get(`*${serverName.slice(dot)}`);
      if (below !== undefined && dot > 0) return below;
    }
  }
  return byName.get(ANY_NAME);
}

/** " sni a.example.org,*.b.example.org"; "" without names. */
export function formatServerNames({ sni }: WithNames): string {
  return sni === undefined ? "" : ` sni ${sni.join(",")}`;
}

export function haveEqualNames(one: WithNames, other: WithNames): boolean {
  return one.sni === other.sni || (one.sni?.join() ?? "") === (other.sni?.join() ?? "");
}

/** For a copy of a port: the key is absent where there are no names. */
export function serverNamesOf({ sni }: Pick<PortSpec, "sni">): Pick<PortSpec, "sni"> {
  return sni === undefined ? {} : { sni };
}
