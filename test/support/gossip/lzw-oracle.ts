/** The slow LZW decoder the fast one is checked against: strings as arrays, written from Go's compress/lzw reader. */

/** Null when the input is damaged. */
export function lzwOracle(input: Uint8Array): number[] | null {
  const output: number[] = [];
  let strings = new Map<number, readonly number[]>();
  let high = 257;
  let width = 9;
  let last: readonly number[] | null = null;
  let bitAt = 0;
  for (;;) {
    if (bitAt + width > 8 * input.length) return null;
    let code = 0;
    for (let bit = 0; bit < width; bit++, bitAt++) {
      code |= ((input[bitAt >> 3]! >> (bitAt & 7)) & 1) << bit;
    }
    if (code === 257) return output;
    if (code === 256) {
      [strings, high, width, last] = [new Map(), 257, 9, null];
      continue;
    }
    if (code > high) return null;
    const string: readonly number[] | undefined =
      code < 256 ? [code] : code === high && last !== null ? [...last, last[0]!] : strings.get(code);
    if (string === undefined) return null;
    output.push(...string);
    if (last !== null) strings.set(high, [...last, string[0]!]);
    last = string;
    high++;
    if (high === 2 ** width) {
      if (width < 12) width++;
      else [high, last] = [4095, null];
    }
  }
}
