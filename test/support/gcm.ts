/** What seals and opens in tests: as in a worker, and each of those it is made of. */
import { Libcrypto } from "../../src/sys/libcrypto.ts";
import { Gcm } from "../../src/wire/index.ts";

export const RUNTIME_GCM = new Gcm(null);

/** null: this machine has none; with REQUIRE_ALL=1 that is a failure. */
export const libcrypto = Libcrypto.open();
if (libcrypto === null) {
  if (process.env.REQUIRE_ALL === "1") throw new Error("not installed: libcrypto");
  console.log("skipped: libcrypto not installed");
}

export const GCM = new Gcm(libcrypto);

/** For `describe.each(GCMS)`. */
export const GCMS: readonly (readonly [name: string, gcm: Gcm])[] = [
  ["by the runtime", RUNTIME_GCM],
  ...(libcrypto === null ? [] : [["by libcrypto", GCM] as const]),
];
