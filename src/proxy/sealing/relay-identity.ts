/** Who this node is to others. The same object until that changes. */
import type { WorkerRelay } from "../worker/messages.ts";
import { ClearRule } from "./clear-rule.ts";

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

export function identityOf(relay: WorkerRelay, before: RelayIdentity): RelayIdentity {
  const { node, keys, acceptsClear } = relay;
  const clearRule = new ClearRule(acceptsClear);
  const isSame =
    before.node === node &&
    before.keys.map((key) => key.toHex()).join() === keys.join() &&
    before.clearRule.equals(clearRule);
  return isSame ? before : { node, keys: keys.map((key) => Uint8Array.fromHex(key)), clearRule };
}
