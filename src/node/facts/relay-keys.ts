/**
 * Keys of the relay, derived from those of the cluster with its name: a relay key does not reveal the key of
 * gossip, and two clusters with one key do not relay to each other. RFC 5869 (HKDF).
 */
import { Hkdf } from "../../wire/index.ts";

const KEY_BYTES = 32;

/** Hex, in the order of the cluster's keys. Without any: one that everybody who knows the name can make. */
export function relayKeys(clusterKeys: readonly string[], clusterName: string): string[] {
  const sources = clusterKeys.length === 0 ? [""] : clusterKeys;
  return sources.map((key) =>
    new Hkdf(Buffer.from(key, "base64"), clusterName).expand(KEY_BYTES, "portmesh relay").toHex(),
  );
}
