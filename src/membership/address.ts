/** Where a member is: raw bytes, 4 or 16, kept and compared as they came, because other members compare them so. */
export interface Address {
  readonly ip: Uint8Array;
  readonly port: number;
}

export function isSameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && isSameBytes(a.ip, b.ip);
}

export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
