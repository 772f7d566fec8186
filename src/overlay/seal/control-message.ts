/**
 * Control messages between the two ends of a sealed path, each in a separate seal. Big-endian.
 *
 *     probe   1 │ 3 bytes of 0 │ id u32 │ zeros up to the size that is probed
 *     answer  2 │ 0 │ size u16 │ id u32         size: of the probe's underlay packet
 *     report  3 │ 3 bytes of 0 │ parts u32 │ lost u32 │ seals u32 │ lost seals u32     since the keys are in use, mod 2^32
 */

export const PROBE = 1;
export const ANSWER = 2;
export const REPORT = 3;

const PROBE_BYTES = 8;
const ANSWER_BYTES = 8;
const REPORT_BYTES = 20;

export type ControlMessage =
  | { readonly type: typeof PROBE; readonly id: number }
  | { readonly type: typeof ANSWER; readonly id: number; readonly size: number }
  | {
      readonly type: typeof REPORT;
      readonly parts: number;
      readonly lostParts: number;
      readonly seals: number;
      readonly lostSeals: number;
    };

/** null: it is none. */
export function decodeControl(bytes: Uint8Array): ControlMessage | null {
  if (bytes.length < PROBE_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [type, id] = [bytes[0], view.getUint32(4)];
  if (type === PROBE) return { type, id };
  if (type === ANSWER && bytes.length === ANSWER_BYTES) return { type, id, size: view.getUint16(2) };
  if (type !== REPORT || bytes.length !== REPORT_BYTES) return null;
  return {
    type,
    parts: id,
    lostParts: view.getUint32(8),
    seals: view.getUint32(12),
    lostSeals: view.getUint32(16),
  };
}

/** @param length of the whole message: only probes are longer than they have to be */
export function encodeControl(message: ControlMessage, length = lengthOf(message)): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[0] = message.type;
  if (message.type === REPORT) {
    view.setUint32(4, message.parts);
    view.setUint32(8, message.lostParts);
    view.setUint32(12, message.seals);
    view.setUint32(16, message.lostSeals);
    return bytes;
  }
  if (message.type === ANSWER) view.setUint16(2, message.size);
  view.setUint32(4, message.id);
  return bytes;
}

function lengthOf({ type }: ControlMessage): number {
  return type === REPORT ? REPORT_BYTES : PROBE_BYTES;
}
