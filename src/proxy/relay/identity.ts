/** Who this node is to others. The same object until that changes. */
import { type AcceptsClear, ClearRule } from "./clear-rule.ts";

export interface RelayIdentity {
  readonly node: string;
  /** 32 bytes each, never empty: the first signs, all verify. */
  readonly keys: readonly Uint8Array[];
  readonly clearRule: ClearRule;
}

export const NO_IDENTITY: RelayIdentity = {
  node: "",
  keys: [new Uint8Array(32)],
  clearRule: ClearRule.NOWHERE,
};

/** As the routing table has it: keys in hex. */
export interface RelaySettings {
  readonly node: string;
  readonly keys: readonly string[];
  readonly acceptsClear: AcceptsClear;
}

export function identityOf(relay: RelaySettings, before: RelayIdentity): RelayIdentity {
  const { node, keys, acceptsClear } = relay;
  const clearRule = new ClearRule(acceptsClear);
  const isSame =
    before.node === node &&
    before.keys.map((key) => key.toHex()).join() === keys.join() &&
    before.clearRule.equals(clearRule);
  return isSame ? before : { node, keys: keys.map((key) => Uint8Array.fromHex(key)), clearRule };
}
