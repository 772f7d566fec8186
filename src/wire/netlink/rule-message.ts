/**
 * RTM_NEWRULE: one rule of policy routing, which says for which packets which table is looked up. Host order.
 * [linux/fib_rules.h, ip-rule(8)]
 *
 *      0        1                    2               3     4       5          7        8       12
 *     +--------+--------------------+---------------+-----+-------+----------+--------+-------+---------------
 *     | family | destination length | source length | tos | table | reserved | action | flags | attributes …
 *     +--------+--------------------+---------------+-----+-------+----------+--------+-------+---------------
 */
import { splitMessage } from "./attributes.ts";

const HEAD_BYTES = 12;

const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;
const FIB_RULE_INVERT = 2;

export interface RuleMessage {
  /** Rules are looked at in this order, the lowest first. */
  readonly priority: number;
  /** Of an action that looks one up, else 0. */
  readonly table: number;
  /** FR_ACT_…: 1 looks up the table. */
  readonly action: number;
  /** For all but those that it describes. */
  readonly isInverted: boolean;
  readonly destinationLength: number;
  readonly sourceLength: number;
  /** Absent with length 0. */
  readonly destination?: Uint8Array | undefined;
  readonly source?: Uint8Array | undefined;
  /** It is for packets with this mark, or that come or go through an interface, only. */
  readonly isLimited: boolean;
}

/** All rules of a family. */
export function encodeRuleRequest(family: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  head[0] = family;
  return head;
}

/** null: too short, or an attribute leaves the message. */
export function decodeRuleMessage(payload: Uint8Array): RuleMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  const limits = [FRA_IIFNAME, FRA_FWMARK, FRA_OIFNAME].map((type) => attributes.bytes(type));
  return {
    priority: attributes.uint32(FRA_PRIORITY) ?? 0,
    table: attributes.uint32(FRA_TABLE) ?? head.getUint8(4),
    action: head.getUint8(7),
    isInverted: (head.getUint32(8, true) & FIB_RULE_INVERT) !== 0,
    destinationLength: head.getUint8(1),
    sourceLength: head.getUint8(2),
    destination: attributes.bytes(FRA_DST),
    source: attributes.bytes(FRA_SRC),
    isLimited: limits.some((limit) => limit !== undefined),
  };
}
