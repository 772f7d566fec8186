/**
 * Programs of classic BPF, which the kernel runs over packets: enough of it to write a filter of received frames or of
 * netlink messages, or to pick a socket for a datagram. Offsets count from the Ethernet header in the first case, else from
 * the payload; numbers of the packet are big-endian. [bpf(4), linux/filter.h]
 *
 *      0       2    3    4         8
 *     +-------+----+----+---------+
 *     | code  | jt | jf | k       |     host order; jt, jf: operations to skip when a comparison is true, false
 *     +-------+----+----+---------+
 *
 * A load beyond the packet's end ends the program with 0, so the length has to be compared before.
 */

const OPERATION_BYTES = 8;
const SKIP_MAX = 0xff;

const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const LOAD_LENGTH = 0x80;
const LOAD_NUMBER = 0x00;
const LOAD_NUMBER_TO_X = 0x01;
const LOAD_WORD_BEHIND_X = 0x40;
const AND = 0x54;
const ADD = 0x04;
const REMAINDER = 0x94;
const COPY_TO_X = 0x07;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_EQUAL_X = 0x1d;
const JUMP_GREATER = 0x25;
const JUMP_AT_LEAST = 0x35;
const RETURN = 0x06;
const RETURN_LOADED = 0x16;

/** SKF_AD_OFF + SKF_AD_NLATTR: offset of the netlink attribute of type X, searched from the accumulator on; 0: none. */
const FIND_ATTRIBUTE = 0xffff_f000 + 12;
/** In front of an attribute's value. */
const ATTRIBUTE_HEAD_BYTES = 4;

interface Operation {
  readonly code: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  /** A label is resolved to how many operations are between. */
  readonly k: number | string;
}

/** Appends operations; what is loaded is compared with what follows. */
export class ProgramWriter {
  readonly #operations: Operation[] = [];
  readonly #labels = new Map<string, number>();

  get length(): number {
    return this.#operations.length;
  }

  loadLength(): this {
    return this.#add(LOAD_LENGTH, 0);
  }

  loadWord(at: number): this {
    return this.#add(LOAD_WORD, at);
  }

  loadHalf(at: number): this {
    return this.#add(LOAD_HALF, at);
  }

  loadByte(at: number): this {
    return this.#add(LOAD_BYTE, at);
  }

  /** The first four bytes of a netlink attribute; continues at the label where there is none. @param from of all attributes */
  loadAttribute(type: number, from: number, otherwise: string): this {
    return this.#add(LOAD_NUMBER, from)
      .#add(LOAD_NUMBER_TO_X, type)
      .#add(LOAD_WORD, FIND_ATTRIBUTE)
      .ifEqual(0, otherwise)
      .#add(COPY_TO_X, 0)
      .#add(LOAD_WORD_BEHIND_X, ATTRIBUTE_HEAD_BYTES);
  }

  and(mask: number): this {
    return this.#add(AND, mask);
  }

  add(value: number): this {
    return this.#add(ADD, value);
  }

  remainder(divisor: number): this {
    return this.#add(REMAINDER, divisor);
  }

  /** For `ifKept`. */
  keep(): this {
    return this.#add(COPY_TO_X, 0);
  }

  /** What was loaded or computed last. */
  returnLoaded(): this {
    return this.#add(RETURN_LOADED, 0);
  }

  return(value: number): this {
    return this.#add(RETURN, value);
  }

  goTo(label: string): this {
    return this.#add(JUMP, label);
  }

  /** Jumps to the label, else continues with the next operation. */
  ifEqual(value: number, label: string): this {
    return this.#add(JUMP_EQUAL, value, 0, 1).goTo(label);
  }

  /** The same as was kept. */
  ifKept(label: string): this {
    return this.#add(JUMP_EQUAL_X, 0, 0, 1).goTo(label);
  }

  ifGreater(value: number, label: string): this {
    return this.#add(JUMP_GREATER, value, 0, 1).goTo(label);
  }

  ifAtLeast(value: number, label: string): this {
    return this.#add(JUMP_AT_LEAST, value, 0, 1).goTo(label);
  }

  unlessEqual(value: number, label: string): this {
    return this.#add(JUMP_EQUAL, value, 1, 0).goTo(label);
  }

  unlessAtLeast(value: number, label: string): this {
    return this.#add(JUMP_AT_LEAST, value, 1, 0).goTo(label);
  }

  /** One operation a value: continues at one label or the other. @param values at most 254 */
  ifAnyEqual(values: readonly number[], label: string, otherwise: string): this {
    if (values.length >= SKIP_MAX) throw new RangeError(`cannot compare with ${values.length} values`);
    for (const [index, value] of values.entries()) this.#add(JUMP_EQUAL, value, values.length - index, 0);
    return this.goTo(otherwise).goTo(label);
  }

  label(name: string): this {
    this.#labels.set(name, this.#operations.length);
    return this;
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(OPERATION_BYTES * this.#operations.length);
    const view = new DataView(bytes.buffer);
    for (const [index, { code, ifTrue, ifFalse, k }] of this.#operations.entries()) {
      const at = OPERATION_BYTES * index;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, ifTrue);
      view.setUint8(at + 3, ifFalse);
      view.setUint32(at + 4, typeof k === "number" ? k : this.#between(index, k), true);
    }
    return bytes;
  }

  /** Programs only go forwards. */
  #between(from: number, label: string): number {
    const to = this.#labels.get(label);
    if (to === undefined || to <= from) throw new RangeError(`cannot go to ${label}`);
    return to - from - 1;
  }

  #add(code: number, k: number | string, ifTrue = 0, ifFalse = 0): this {
    this.#operations.push({ code, ifTrue, ifFalse, k });
    return this;
  }
}
