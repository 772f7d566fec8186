/** Where a member is: raw bytes, 4 or 16, kept and compared as they came, because other members compare them so. */
export interface Address {
  readonly ip: Uint8Array;
  readonly port: number;
}

export function isSameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && isSameBytes(a.ip, b.ip);
}

export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
