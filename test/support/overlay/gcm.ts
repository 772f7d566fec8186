/** What seals and opens in tests: as in a worker, and each of those it is made of. */
import { Libcrypto } from "../../../src/sys/libcrypto.ts";
import { Gcm } from "../../../src/wire/index.ts";
import { skip } from "../os/require-program.ts";

/** null: this machine has none; with REQUIRE_ALL=1 that is a failure. */
export const libcrypto = Libcrypto.open();
if (libcrypto === null) skip("not installed: libcrypto");

export const GCM = new Gcm(libcrypto);

/** For `describe.each(GCMS)`. */
export const GCMS: readonly (readonly [name: string, gcm: Gcm])[] = [
  ["by the runtime", new Gcm(null)],
  ...(libcrypto === null ? [] : [["by libcrypto", GCM] as const]),
];
