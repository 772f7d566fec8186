/** Bytes captured from live members, for tests of the gossip protocol. */

export function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

/** One byte per character. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** serf's tags {role: "web"}. */
export const WEB_TAGS = hex("ff81a4726f6c65a3776562");
export const SERF_VERSIONS = Uint8Array.of(1, 5, 2, 2, 5, 5);

/** A gossip packet of a serf agent: a checksum around a compound of ALIVE_S1 and ALIVE_P1. */
export const CHECKED_COMPOUND = hex(`0c616707f2 07 02 0045 003a
  04 86 a441646472 a47f000001 ab496e6361726e6174696f6e 01 a44d657461 ab ff81a4726f6c65a3776562
  a44e6f6465 a27331 a4506f7274 cd461a a356736e a6010502020505
  04 86 a441646472 a47f000001 ab496e6361726e6174696f6e 01 a44d657461 c0
  a44e6f6465 a27031 a4506f7274 cd461b a356736e a6010502020504`);
export const ALIVE_S1 = CHECKED_COMPOUND.subarray(11, 11 + 0x45);
export const ALIVE_P1 = CHECKED_COMPOUND.subarray(11 + 0x45);

export const PING = hex(`0085a44e6f6465a27031a55365714e6f01aa536f7572636541646472a47f000001
  aa536f757263654e6f6465a27331aa536f75726365506f7274cd461a`);

/** l leaves: a dead message about itself. */
export const LEAVE = hex("0583a446726f6da26c61ab496e6361726e6174696f6e01a44e6f6465a26c61");

export const ACK = hex("02 82 a75061796c6f6164 c0 a55365714e6f 09");
/** The LZW data of ACK, as newer members and as older ones write it: with and without a clear code in front. */
export const ACK_LZW_WITH_CLEAR = hex("0005083a05254c1e366fc29001566a4a99384ede240808");
export const ACK_LZW_WITHOUT_CLEAR = hex("02049d8212260f9b3761c8002b35a54c1c276f120404");
/** ACK as it came on a stream. */
export const COMPRESSED_ACK = hex(
  "09 82 a4416c676f 00 a3427566 b7 0005083a05254c1e366fc29001566a4a99384ede240808",
);

/** Push/pull of an agent that knows itself, up to its user state of 0x24a bytes, which is not in the capture. */
export const PUSH_PULL_HEAD = hex(`06 83 a44a6f696e c3 a54e6f646573 01 ac5573657253746174654c656e cd024a
  87 a441646472 a47f000001 ab496e6361726e6174696f6e 01 a44d657461 ab ff81a4726f6c65a3776562
  a44e616d65 a27331 a4506f7274 cd461a a55374617465 00 a356736e a6010502020505`);
export const PUSH_PULL_USER_STATE_BYTES = 0x24a;
