/**
 * NLMSG_ERROR, the answer to every acknowledged request, and NLMSG_DONE, the end of every dump. [netlink(7), NETLINK_EXT_ACK]
 *
 *      0       4                     20
 *     +-------+---------------------+---------------------------+--------------------------------------+
 *     | error | the request's head  | its payload unless CAPPED | attributes with ACK_TLVS: 1 = text   |
 *     +-------+---------------------+---------------------------+--------------------------------------+
 *     error: 0 = done, else -errno. NLMSG_DONE: error, then attributes.
 */
import { Attributes, aligned } from "./attributes.ts";
import { type NetlinkMessage, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE } from "./message.ts";

const ERROR_BYTES = 4;
const HEADER_BYTES = 16;
const NLMSGERR_ATTR_MSG = 1;

export interface NetlinkOutcome {
  /** Positive errno; 0 = done. */
  readonly errno: number;
  /** The kernel's own words on it, "" where it has none. */
  readonly text: string;
}

/** Of an NLMSG_ERROR or NLMSG_DONE. null: too short to be one. Text that cannot be read is none. */
export function decodeNetlinkOutcome({ type, flags, payload }: NetlinkMessage): NetlinkOutcome | null {
  // NLMSG_DONE of old kernels may be empty
  if (type === NLMSG_DONE && payload.length < ERROR_BYTES) return { errno: 0, text: "" };
  if (payload.length < ERROR_BYTES) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const errno = -view.getInt32(0, true);
  const hasText = (flags & NLM_F_ACK_TLVS) !== 0;
  const at = type === NLMSG_DONE ? ERROR_BYTES : attributesAt(view, flags);
  const text = hasText ? Attributes.parse(payload, at)?.text(NLMSGERR_ATTR_MSG) : undefined;
  return { errno: errno === 0 ? 0 : errno, text: text ?? "" };
}

function attributesAt(payload: DataView, flags: number): number {
  if (payload.byteLength < ERROR_BYTES + HEADER_BYTES) return payload.byteLength;
  const requestBytes = (flags & NLM_F_CAPPED) === 0 ? payload.getUint32(ERROR_BYTES, true) : HEADER_BYTES;
  return ERROR_BYTES + aligned(Math.min(requestBytes, payload.byteLength));
}
