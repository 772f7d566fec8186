import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { findConfigFile } from "../../../../src/cli/commands/config-file.ts";
import { EXIT_WRONG } from "../../../../src/cli/invocation.ts";
import { runCommand } from "../../../support/node/run-command.ts";
import { tempDir } from "../../../support/os/temp-dir.ts";

test("-c goes before PORTMESH_CONFIG, that before the standard files, TOML before JSON", () => {
  using dir = tempDir();
  const standard = [dir.file("portmesh.toml"), dir.file("portmesh.json")];
  writeFileSync(dir.file("portmesh.json"), "{}");
  expect(findConfigFile("a.toml", { PORTMESH_CONFIG: "b.toml" }, standard)).toBe("a.toml");
  expect(findConfigFile(undefined, { PORTMESH_CONFIG: "b.toml" }, standard)).toBe("b.toml");
  expect(findConfigFile(undefined, { PORTMESH_CONFIG: "" }, standard)).toBe(dir.file("portmesh.json"));
  writeFileSync(dir.file("portmesh.toml"), "");
  expect(findConfigFile(undefined, {}, standard)).toBe(dir.file("portmesh.toml"));
});

test("a standard file that cannot be read is not passed over for the next one", () => {
  using dir = tempDir();
  const standard = [dir.file("portmesh.toml"), dir.file("portmesh.json")];
  writeFileSync(dir.file("portmesh.json"), "{}");
  symlinkSync("/nowhere", dir.file("portmesh.toml"));
  expect(findConfigFile(undefined, {}, standard)).toBe(dir.file("portmesh.toml"));
  mkdirSync(dir.file("etc"));
  expect(findConfigFile(undefined, {}, [dir.file("etc"), dir.file("portmesh.json")])).toBe(dir.file("etc"));
});

test("none: the error names every place", () => {
  using dir = tempDir();
  const standard = [dir.file("portmesh.toml"), dir.file("portmesh.json")];
  expect(() => findConfigFile(undefined, {}, standard)).toThrow(
    expect.objectContaining({
      exitCode: EXIT_WRONG,
      message:
        `no configuration file: PORTMESH_CONFIG is not set, and there is no ${standard[0]} and no ${standard[1]}: ` +
        "name a file with -c FILE, or create one of these",
    }),
  );
});

test.each(["check", "config", "run"])("%s reads the file that PORTMESH_CONFIG names", async (command) => {
  using dir = tempDir();
  const file = dir.file("pm.toml");
  writeFileSync(file, '[log]\nlevel = "loud"\n');
  const { exitCode, stderr } = await runCommand([command], { PORTMESH_CONFIG: file });
  expect(exitCode).toBe(EXIT_WRONG);
  expect(stderr).toStartWith(`${file}:2: log.level: "loud" is not one of`);
});
