import { expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { listenOnSocket } from "../../../../src/admin/index.ts";
import { findSocket } from "../../../../src/cli/commands/options.ts";
import { CommandFailure } from "../../../../src/cli/invocation.ts";
import { runCommand } from "../../../support/node/run-command.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";

test("--socket goes before PORTMESH_SOCKET, that before the file of -c, that before PORTMESH_CONFIG", async () => {
  using dir = tempDir();
  const fileWith = (name: string) => {
    writeFileSync(dir.file(`${name}.toml`), `[admin]\nsocket = "/run/${name}.sock"\n`);
    return dir.file(`${name}.toml`);
  };
  const config = fileWith("option");
  const env = { PORTMESH_SOCKET: "/run/env.sock", PORTMESH_CONFIG: fileWith("variable") };
  const { PORTMESH_CONFIG } = env;
  expect(await findSocket({ socket: "/run/named.sock", config }, env)).toBe("/run/named.sock");
  expect(await findSocket({ config }, env)).toBe("/run/env.sock");
  expect(await findSocket({ config }, { PORTMESH_CONFIG })).toBe("/run/option.sock");
  expect(await findSocket({}, { PORTMESH_CONFIG, PORTMESH_SOCKET: "" })).toBe("/run/variable.sock");
});

/** A machine whose standard places are in `dir`: run/pm.sock, home/pm.sock and data/pm.sock, and the file pm.toml. */
function placesIn(dir: TempDir) {
  const [run, home, data] = ["run", "home", "data"].map((name) => dir.file(`${name}/pm.sock`)) as [
    string,
    string,
    string,
  ];
  const sockets = (dataDir: string | null) => [run, home, dataDir === null ? data : `${dataDir}/pm.sock`];
  return { run, home, data, standard: { files: [dir.file("pm.toml"), dir.file("pm.json")], sockets } };
}

const listen = (path: string) => listenOnSocket(path, () => new Response("{}"));

test("without any of them: the first standard socket that answers; of the others one may be dead", async () => {
  using dir = tempDir();
  const { run, home, data, standard } = placesIn(dir);
  const servers = [await listen(home), await listen(data)];
  const dead = await listen(dir.file("run/live.sock"));
  symlinkSync(dir.file("run/live.sock"), run);
  expect(await findSocket({}, {}, standard)).toBe(run);
  await dead.close();
  expect(await findSocket({}, {}, standard)).toBe(home);
  for (const server of servers) await server.close();
});

test("none answers: the standard file says where its node is", async () => {
  using dir = tempDir();
  const { standard } = placesIn(dir);
  writeFileSync(dir.file("pm.toml"), `[node]\ndata_dir = "${dir.file("other")}"\n`);
  const server = await listen(dir.file("other/pm.sock"));
  expect(await findSocket({}, {}, standard)).toBe(server.path);
  await server.close();
});

test("the standard file is wrong: where its node is counts all the same", async () => {
  using dir = tempDir();
  const { standard } = placesIn(dir);
  writeFileSync(dir.file("pm.json"), `{"node": {"data_dir": "${dir.file("other")}"}, "services": 5}`);
  const server = await listen(dir.file("other/pm.sock"));
  expect(await findSocket({}, {}, standard)).toBe(server.path);
  await server.close();
});

test("a file of -c without admin.socket: the standard sockets and the one in its data_dir", async () => {
  using dir = tempDir();
  const { run, standard } = placesIn(dir);
  const config = dir.file("mine.toml");
  writeFileSync(config, `[node]\ndata_dir = "${dir.file("mine")}"\n`);
  const server = await listen(dir.file("mine/pm.sock"));
  expect(await findSocket({ config }, {}, standard)).toBe(server.path);
  const first = await listen(run);
  expect(await findSocket({ config }, {}, standard)).toBe(run);
  for (const { close } of [server, first]) await close();
});

test("nothing answers anywhere: the error names every place, and why", async () => {
  using dir = tempDir();
  const { run, home, data, standard } = placesIn(dir);
  const error = await findSocket({}, {}, standard).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(CommandFailure);
  expect((error as CommandFailure).message).toBe(
    `cannot reach the node: ${run}: does not exist; ${home}: does not exist; ${data}: does not exist: ` +
      "is portmesh running? start it with `portmesh run`, or name its socket with --socket",
  );
});

test("a wrong file in which to look for the socket is exit code 2 with its problems", async () => {
  using dir = tempDir();
  const config = dir.file("pm.toml");
  writeFileSync(config, "[admin]\nsocket = 5\n");
  const { exitCode, stderr } = await runCommand(["status", "-c", config]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`${config}:2: admin.socket`);
});
