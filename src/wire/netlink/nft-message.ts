/**
 * Requests to nf_tables, in one transaction: tables, base chains, sets of addresses, rules. Numbers are big-endian here.
 * [linux/netfilter/nfnetlink.h, nf_tables.h; nft(8)]
 *
 *     BATCH_BEGIN │ request … │ BATCH_END            each with the netlink header, and behind that
 *
 *      0        1   2             4
 *     +--------+---+-------------+---------------
 *     | family | 0 | resource id | attributes …
 *     +--------+---+-------------+---------------
 */
import { AttributeWriter } from "./attributes.ts";

export const NFT_BATCH_BEGIN = 0x10;
export const NFT_BATCH_END = 0x11;
const SUBSYSTEM = 10;
export const NFT_NEWTABLE = (SUBSYSTEM << 8) | 0;
export const NFT_NEWCHAIN = (SUBSYSTEM << 8) | 3;
export const NFT_NEWRULE = (SUBSYSTEM << 8) | 6;
export const NFT_NEWSET = (SUBSYSTEM << 8) | 9;
export const NFT_NEWSETELEM = (SUBSYSTEM << 8) | 12;
export const NFT_DELSETELEM = (SUBSYSTEM << 8) | 14;

const NFPROTO_UNSPEC = 0;
const NFPROTO_INET = 1;
/** The table goes with the socket that made it, and others cannot change or flush it. */
const TABLE_F_OWNER = 2;
const HOOK_LOCAL_IN = 1;
const REGISTER = 1;
const REGISTER_VERDICT = 0;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
const BASE_NETWORK_HEADER = 1;
const BASE_TRANSPORT_HEADER = 2;
const LOOKUP_F_INV = 1;
const NF_DROP = 0;
const NFTA_LIST_ELEM = 1;
const NFTA_DATA_VALUE = 1;

/** One step of a rule: the next one runs if it matches. */
export type NftStep =
  /** The packet is of IPv4, AF_INET, or of IPv6, AF_INET6. */
  | { readonly do: "is-family"; readonly family: number }
  /** The transport protocol is this one. */
  | { readonly do: "is-protocol"; readonly protocol: number }
  /** Bytes from the transport header on are these, or are not. */
  | { readonly do: "is" | "is-not"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly do: "is-in-set"; readonly offset: number; readonly length: number; readonly set: string }
  /** Bytes from the network header on are none of the set. */
  | { readonly do: "is-not-in-set"; readonly offset: number; readonly length: number; readonly set: string }
  | { readonly do: "drop" };

/** The payload of NFT_BATCH_BEGIN and NFT_BATCH_END. */
export function encodeNftBatch(): Uint8Array {
  return head(NFPROTO_UNSPEC, SUBSYSTEM);
}

export function encodeNftTable(name: string): Uint8Array {
  return message().text(1, name).uint32BigEndian(2, TABLE_F_OWNER).finish();
}

/** A chain for packets addressed to this machine; `priority` 0 is that of filters. */
export function encodeNftInputChain(table: string, name: string, priority: number): Uint8Array {
  return message()
    .text(1, table)
    .text(3, name)
    .nested(4, (hook) => hook.uint32BigEndian(1, HOOK_LOCAL_IN).uint32BigEndian(2, priority))
    .text(7, "filter")
    .finish();
}

/** @param keyType as nft(8) numbers them, for showing: 7 ipv4_addr, 8 ipv6_addr  @param id of those in one batch */
export function encodeNftSet(
  table: string,
  { name, keyType, keyBytes, id }: { name: string; keyType: number; keyBytes: number; id: number },
): Uint8Array {
  return message()
    .text(1, table)
    .text(2, name)
    .uint32BigEndian(3, 0)
    .uint32BigEndian(4, keyType)
    .uint32BigEndian(5, keyBytes)
    .uint32BigEndian(10, id)
    .finish();
}

export function encodeNftElements(table: string, set: string, keys: readonly Uint8Array[]): Uint8Array {
  return message()
    .text(1, table)
    .text(2, set)
    .nested(3, (elements) => {
      for (const key of keys)
        elements.nested(NFTA_LIST_ELEM, (element) =>
          element.nested(1, (data) => data.bytes(NFTA_DATA_VALUE, key)),
        );
    })
    .finish();
}

export function encodeNftRule(table: string, chain: string, steps: readonly NftStep[]): Uint8Array {
  return message()
    .text(1, table)
    .text(2, chain)
    .nested(4, (list) => {
      for (const step of steps) writeStep(list, step);
    })
    .finish();
}

function writeStep(list: AttributeWriter, step: NftStep): void {
  if (step.do === "drop")
    return writeExpression(list, "immediate", (data) =>
      data
        .uint32BigEndian(1, REGISTER_VERDICT)
        .nested(2, (value) => value.nested(2, (verdict) => verdict.uint32BigEndian(1, NF_DROP))),
    );
  if (step.do === "is-family") return writeMeta(list, META_NFPROTO, step.family);
  if (step.do === "is-protocol") return writeMeta(list, META_L4PROTO, step.protocol);
  const length = "set" in step ? step.length : step.bytes.length;
  const base = step.do === "is-not-in-set" ? BASE_NETWORK_HEADER : BASE_TRANSPORT_HEADER;
  writeExpression(list, "payload", (data) =>
    data
      .uint32BigEndian(1, REGISTER)
      .uint32BigEndian(2, base)
      .uint32BigEndian(3, step.offset)
      .uint32BigEndian(4, length),
  );
  if (!("set" in step)) return writeComparison(list, step.do === "is", step.bytes);
  const flags = step.do === "is-not-in-set" ? LOOKUP_F_INV : 0;
  writeExpression(list, "lookup", (data) =>
    data.text(1, step.set).uint32BigEndian(2, REGISTER).uint32BigEndian(5, flags),
  );
}

function writeMeta(list: AttributeWriter, key: number, value: number): void {
  writeExpression(list, "meta", (data) => data.uint32BigEndian(1, REGISTER).uint32BigEndian(2, key));
  writeComparison(list, true, Uint8Array.of(value));
}

function writeComparison(list: AttributeWriter, isEqual: boolean, bytes: Uint8Array): void {
  writeExpression(list, "cmp", (data) =>
    data
      .uint32BigEndian(1, REGISTER)
      .uint32BigEndian(2, isEqual ? 0 : 1)
      .nested(3, (value) => value.bytes(NFTA_DATA_VALUE, bytes)),
  );
}

function writeExpression(
  list: AttributeWriter,
  name: string,
  write: (data: AttributeWriter) => unknown,
): void {
  list.nested(NFTA_LIST_ELEM, (expression) => expression.text(1, name).nested(2, (data) => void write(data)));
}

function message(): AttributeWriter {
  return new AttributeWriter(head(NFPROTO_INET, 0));
}

function head(family: number, resourceId: number): Uint8Array {
  return Uint8Array.of(family, 0, resourceId >> 8, resourceId & 0xff);
}
