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
  for (const args of [["-c", "/f"], ["--socket=/s"], ["--help"], ["--socket"], ["--socket", "/s", "more"]])
    expect(socketsToAsk(args, {})).toBeNull();
});

test("a file that may move the socket has to be parsed, and one that cannot be read reported", () => {
  using directory = tempDir();
  const asked = (text: string) => {
    const file = join(directory.path, "file");
    writeFileSync(file, text);
    return socketsToAsk([], { PORTMESH_CONFIG: file });
  };
  expect(asked('[[services]]\nname = "web"')).toEqual(standard);
  for (const text of ['[admin]\nsocket = "/s"', 'node.data_dir = "/d"', '{"admin": {"sock\\u0065t": "/s"}}'])
    expect(asked(text)).toBeNull();
  expect(socketsToAsk([], { PORTMESH_CONFIG: join(directory.path, "none") })).toBeNull();
});
