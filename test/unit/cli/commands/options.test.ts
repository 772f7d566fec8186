import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { findSocket } from "../../../../src/cli/commands/options.ts";
import { runCommand } from "../../../support/node/run-command.ts";
import { tempDir } from "../../../support/os/temp-dir.ts";

test("--socket goes before PORTMESH_SOCKET, that before the file, that before the default", async () => {
  using dir = tempDir();
  const config = dir.file("pm.toml");
  writeFileSync(config, '[admin]\nsocket = "/run/from-file.sock"\n');
  const env = { PORTMESH_SOCKET: "/run/from-env.sock" };
  expect(await findSocket({ socket: "/run/option.sock", config }, env)).toBe("/run/option.sock");
  expect(await findSocket({ config }, env)).toBe("/run/from-env.sock");
  expect(await findSocket({ config }, {})).toBe("/run/from-file.sock");
  expect(await findSocket({}, {})).toBe("/run/portmesh/portmesh.sock");
});

test("a wrong file in which to look for the socket is exit code 2 with its problems", async () => {
  using dir = tempDir();
  const config = dir.file("pm.toml");
  writeFileSync(config, "[admin]\nsocket = 5\n");
  const { exitCode, stderr } = await runCommand(["status", "-c", config]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`${config}:2: admin.socket`);
});
