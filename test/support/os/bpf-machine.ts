/** Runs programs of classic BPF, as the kernel would; what would end a program early is an error here. */
const LOADS: Readonly<Record<number, number>> = { 32: 4, 40: 2, 48: 1 };

/** SKF_AD_OFF + SKF_AD_NLATTR */
const FIND_ATTRIBUTE = 0xffff_f00c;

/** What the program returns for a packet. Throws at a load beyond its end, and at what no filter of ours has. */
export function runProgram(program: Uint8Array, packet: Buffer): number {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  let accumulator = 0;
  let x = 0;
  for (let at = 0; ; at++) {
    if (8 * at + 8 > program.length) throw new Error("the program has no end");
    const code = view.getUint16(8 * at, true);
    const [ifTrue, ifFalse, k] = [
      view.getUint8(8 * at + 2),
      view.getUint8(8 * at + 3),
      view.getUint32(8 * at + 4, true),
    ];
    const size = LOADS[code];
    const branch = (isTrue: boolean) => {
      at += isTrue ? ifTrue : ifFalse;
    };
    if (code === 0x20 && k === FIND_ATTRIBUTE) accumulator = findAttribute(packet, x, accumulator);
    else if (size !== undefined) accumulator = packet.readUIntBE(k, size);
    else if (code === 0x00) accumulator = k;
    else if (code === 0x01) x = k;
    else if (code === 0x07) x = accumulator;
    else if (code === 0x40) accumulator = packet.readUInt32BE(x + k);
    else if (code === 0x80) accumulator = packet.length;
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) branch(accumulator === k);
    else if (code === 0x25) branch(accumulator > k);
    else if (code === 0x35) branch(accumulator >= k);
    else if (code === 0x06) return k;
    else throw new Error(`operation ${at} has the unknown code ${code}`);
  }
}

/** Offset of a netlink attribute; 0: there is none. */
function findAttribute(message: Buffer, type: number, from: number): number {
  for (let at = from; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    if (message.readUInt16LE(at + 2) === type) return at;
    if (length < 4) return 0;
    at += (length + 3) & ~3;
  }
  return 0;
}
