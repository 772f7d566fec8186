import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { AdminSocketError, listenOnFirst, listenOnSocket } from "../../../src/admin/index.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";

let dir: TempDir;

beforeEach(() => {
  dir = tempDir();
});

afterEach(() => dir[Symbol.dispose]());

const answer = () => new Response("here");

async function errorOf(path: string): Promise<AdminSocketError> {
  const error = await listenOnSocket(path, answer).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(AdminSocketError);
  return error as AdminSocketError;
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

describe("a fresh socket", () => {
  test("is for its owner alone, and so is the directory made for it", async () => {
    const umask = process.umask(0);
    const server = await listenOnSocket(dir.file("run/pm.sock"), answer);
    expect(process.umask(umask)).toBe(0);
    expect(modeOf(dir.file("run/pm.sock"))).toBe("600");
    expect(modeOf(dir.file("run"))).toBe("700");
    await server.close();
    expect(existsSync(dir.file("run/pm.sock"))).toBe(false);
  });

  test("leaves a directory that was there as it is", async () => {
    mkdirSync(dir.file("run"), { mode: 0o755 });
    const server = await listenOnSocket(dir.file("run/pm.sock"), answer);
    expect(modeOf(dir.file("run"))).toBe("755");
    await server.close();
  });

  test("answers", async () => {
    const server = await listenOnSocket(dir.file("pm.sock"), answer);
    expect(await (await fetch("http://portmesh/", { unix: dir.file("pm.sock") })).text()).toBe("here");
    await server.close();
  });
});

describe("a path that is taken", () => {
  test("by a living node is refused, and the node goes on", async () => {
    const server = await listenOnSocket(dir.file("pm.sock"), answer);
    const error = await errorOf(dir.file("pm.sock"));
    expect(error.code).toBe("in-use");
    expect(error.message).toBe(`cannot listen on ${dir.file("pm.sock")}: another node uses this socket`);
    expect((await fetch("http://portmesh/", { unix: dir.file("pm.sock") })).ok).toBe(true);
    await server.close();
  });

  test("by a dead node is replaced", async () => {
    const script = `Bun.listen({ unix: ${JSON.stringify(dir.file("pm.sock"))}, socket: { data() {} } });
      process.kill(process.pid, "SIGKILL");`;
    Bun.spawnSync([process.execPath, "-e", script]);
    expect(existsSync(dir.file("pm.sock"))).toBe(true);
    const server = await listenOnSocket(dir.file("pm.sock"), answer);
    await server.close();
  });

  test("by an ordinary file is refused and the file stays", async () => {
    writeFileSync(dir.file("pm.sock"), "precious");
    expect((await errorOf(dir.file("pm.sock"))).code).toBe("not-a-socket");
    expect(await Bun.file(dir.file("pm.sock")).text()).toBe("precious");
  });
});

describe("a path that cannot be made", () => {
  test("says which setting to change", async () => {
    const error = await errorOf("/proc/portmesh/pm.sock");
    expect(error.code).toBe("cannot-create");
    expect(error.message).toContain("set admin.socket to a path this user may create");
  });

  test("is refused when it is too long for a socket address", async () => {
    expect((await errorOf(dir.file("x".repeat(120)))).message).toContain("longer than 107 bytes");
  });
});

describe("several paths", () => {
  const wrong = "/proc/portmesh/pm.sock";

  test("the first that can be made is used", async () => {
    const server = await listenOnFirst([wrong, dir.file("a.sock"), dir.file("b.sock")], answer);
    expect(server.path).toBe(dir.file("a.sock"));
    expect(existsSync(dir.file("b.sock"))).toBe(false);
    await server.close();
  });

  test("a node on one of them ends the search", async () => {
    const server = await listenOnSocket(dir.file("a.sock"), answer);
    const second = listenOnFirst([wrong, dir.file("a.sock"), dir.file("b.sock")], answer);
    expect(await second.catch((error: AdminSocketError) => error.code)).toBe("in-use");
    await server.close();
  });

  test("none can be made: each is named, with the reason", async () => {
    const long = dir.file("x".repeat(120));
    const error = await listenOnFirst([wrong, long], answer).catch((caught: AdminSocketError) => caught);
    expect(error).toBeInstanceOf(AdminSocketError);
    expect((error as AdminSocketError).message).toMatch(
      /^cannot listen for commands: \/proc\/portmesh\/pm\.sock: .+; .+x: longer than 107 bytes: set admin\.socket/,
    );
  });
});
