import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { socketsToAsk } from "../../../src/cli/quick-health.ts";
import { standardSockets, thisUser } from "../../../src/sys/standard-paths.ts";
import { tempDir } from "../../support/os/temp-dir.ts";

const standard = standardSockets(null, thisUser({}));

test("sockets are named by --socket, else by $PORTMESH_SOCKET, else they are the standard ones", () => {
  const env = { PORTMESH_SOCKET: "/run/variable.sock" };
  expect(socketsToAsk(["--socket", "/run/option.sock"], env)).toEqual(["/run/option.sock"]);
  expect(socketsToAsk([], env)).toEqual(["/run/variable.sock"]);
  expect(socketsToAsk([], {})).toEqual(standard);
  expect(socketsToAsk([], { PORTMESH_SOCKET: "", PORTMESH_CONFIG: "" })).toEqual(standard);
});

test("other arguments need the whole program", () => {
  for (const args of [
    ["-c=/f"],
    ["-c"],
    ["-c", "/none"],
    ["-c", "-"],
    ["--socket=/s"],
    ["--help"],
    ["--socket"],
    ["--socket", "/s", "more"],
  ])
    expect(socketsToAsk(args, {})).toBeNull();
});

test("a file is named by -c, else by $PORTMESH_CONFIG; its socket and data_dir count", () => {
  using directory = tempDir();
  const file = join(directory.path, "file");
  const asked = (text: string) => {
    writeFileSync(file, text);
    const sockets = socketsToAsk([], { PORTMESH_CONFIG: file });
    for (const option of ["-c", "--config"])
      expect(socketsToAsk([option, file], { PORTMESH_CONFIG: "/none" })).toEqual(sockets);
    return sockets;
  };
  const inDirectory = standardSockets("/d", thisUser({}));
  expect(asked('[[services]]\nname = "web"')).toEqual(standard);
  expect(asked('{"services": []}')).toEqual(standard);
  expect(asked('# socket = "/no"\n[admin]\r\n  socket = "/s"  # a socket\r\n')).toEqual(["/s"]);
  expect(asked('[node]\ndata_dir = "/d"\n')).toEqual(inDirectory);
  expect(asked('[node]\ndata_dir="/d"\n[admin]\nsocket="/s"')).toEqual(["/s"]);
  expect(socketsToAsk(["-c", file], { PORTMESH_SOCKET: "/variable" })).toEqual(["/variable"]);
  for (const text of [
    'node.data_dir = "/d"',
    '[node]\nsocket = "/s"',
    '[[admin]]\nsocket = "/s"',
    'admin = { socket = "/s" }',
    '[admin]\n"socket" = "/s"',
    "[admin]\nsocket = '/s'",
    '[admin]\nsocket = "${SOCKET}"',
    '[admin]\nsocket = "relative"',
    '[admin]\nsocket = "/s"\nsocket = "/t"',
    '{"admin": {"sock\\u0065t": "/s"}}',
    '{"admin": {"socket": "/s"}}',
    '[node]\nname = """\n[admin]\n"""',
  ])
    expect([text, asked(text)]).toEqual([text, null]);
  expect(socketsToAsk([], { PORTMESH_CONFIG: join(directory.path, "none") })).toBeNull();
});
