/** The unit file, as systemd reads it. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { tempDir } from "../support/os/temp-dir.ts";

function analyze(...args: string[]): { readonly code: number; readonly text: string } {
  using directory = tempDir();
  const file = directory.file("portmesh.service");
  const text = readFileSync("config/systemd/portmesh.service", "utf8");
  writeFileSync(file, text.replaceAll("/usr/bin/portmesh", "/bin/true")); // not installed here
  const { exitCode, stdout, stderr } = Bun.spawnSync(["systemd-analyze", ...args, file]);
  return { code: exitCode, text: `${stdout}${stderr}` };
}

test("every line is known, and the exposure is 2.0 at most", () => {
  expect(analyze("verify", "--man=no")).toEqual({ code: 0, text: "" });
  const { code, text } = analyze("security", "--offline=true", "--threshold=20");
  expect([code, /exposure level for \S+ (\S+)/.exec(text)?.[1]]).toEqual([0, expect.any(String)]);
});
