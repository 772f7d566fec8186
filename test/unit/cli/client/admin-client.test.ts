import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { type AdminServer, listenOnSocket } from "../../../../src/admin/index.ts";
import { askNode } from "../../../../src/cli/client/admin-client.ts";
import { NO_CHANGES } from "../../../../src/node/reload-report.ts";
import { runCommand } from "../../../support/node/run-command.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";

let dir: TempDir;
let socket: string;
let server: AdminServer | null;

beforeEach(() => {
  dir = tempDir();
  socket = dir.file("pm.sock");
  server = null;
});

afterEach(async () => {
  await server?.close();
  dir[Symbol.dispose]();
});

async function answerWith(status: number, body: unknown): Promise<string[]> {
  const asked: string[] = [];
  server = await listenOnSocket(socket, (request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname}${new URL(request.url).search}`);
    return Response.json(body, { status });
  });
  return asked;
}

/** A program that is not a node. */
function listen(handlers: Partial<Bun.SocketHandler>): Disposable {
  const listener = Bun.listen({ unix: socket, socket: { data: () => undefined, ...handlers } });
  return { [Symbol.dispose]: () => listener.stop(true) };
}

const report = {
  outcome: "applied",
  differing: [],
  unpublished: [],
  kept: [],
  isDryRun: false,
  trigger: "command",
  at: 0,
  problems: [],
  warnings: [],
  bindErrors: [],
};

describe("a node that cannot be reached", () => {
  test("no socket: the message says how to get on", async () => {
    const { exitCode, stderr } = await runCommand(["status", "--socket", socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      `cannot reach the node: ${socket} does not exist: is portmesh running? ` +
        "start it with `portmesh run -c FILE`, or name its socket with --socket\n",
    );
  });

  test("a dead node's socket says the same", async () => {
    writeFileSync(socket, "");
    const { exitCode, stderr } = await runCommand(["reload", "--socket", socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`nothing listens on ${socket}`);
  });

  test("a socket that closes connections", async () => {
    using _ = listen({ open: (connection) => void connection.end() });
    const { exitCode, stderr } = await runCommand(["status", "--socket", socket]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`the connection to ${socket} was closed before a reply: is portmesh running?`);
  });

  test.each(["SSH-2.0-OpenSSH_9.2p1\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"])(
    "another program: %j",
    async (reply) => {
      using _ = listen({ data: (connection) => void connection.write(reply) });
      const { exitCode, stderr } = await runCommand(["status", "--socket", socket]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /^the program that listens on \S+ is not portmesh \(.+\): name the node's socket with --socket\n$/,
      );
    },
  );

  test("a node that does not reply, or not to the end", async () => {
    for (const reply of ["", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"]) {
      using _ = listen({ data: (connection) => void connection.write(reply) });
      const asked = askNode(socket, "GET", "/v1/status", { timeoutMs: 20 });
      await expect(asked).rejects.toThrow(
        `no reply from the node on ${socket} within 0.02 s: it is stopped or overloaded; see its log`,
      );
    }
  });

  test("a node that refuses is quoted", async () => {
    await answerWith(503, { error: "the node is starting" });
    const { exitCode, stderr } = await runCommand(["status"], { PORTMESH_SOCKET: socket });
    expect(exitCode).toBe(1);
    expect(stderr).toBe("the node refuses GET /v1/status: the node is starting\n");
  });
});

describe("reload", () => {
  test("applied is exit code 0", async () => {
    const asked = await answerWith(200, {
      ...report,
      changes: { ...NO_CHANGES, listenersOpened: ["tcp [::]:80"] },
    });
    const { exitCode, stdout } = await runCommand(["reload", "--socket", socket]);
    expect(asked).toEqual(["POST /v1/reload"]);
    expect(exitCode).toBe(0);
    expect(stdout).toBe("applied: 1 listener opened\n  + listener tcp [::]:80\n");
  });

  test("--dry-run asks for a dry run", async () => {
    const asked = await answerWith(200, { ...report, isDryRun: true, changes: NO_CHANGES });
    await runCommand(["reload", "--dry-run", "--socket", socket]);
    expect(asked).toEqual(["POST /v1/reload?dry-run=1"]);
  });

  test("refused is exit code 1 with every problem on standard error", async () => {
    const problem = { file: "pm.toml", line: 3, column: 1, key: "a.b", value: 1, message: "is wrong" };
    await answerWith(422, { ...report, outcome: "refused", problems: [problem], changes: NO_CHANGES });
    const { exitCode, stdout, stderr } = await runCommand(["reload", "--socket", socket]);
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toBe(
      "the configuration is invalid, nothing changed: 1 problem\n  pm.toml:3: a.b: is wrong\n",
    );
  });

  test("--json prints the report whatever the outcome", async () => {
    const refused = { ...report, outcome: "refused", changes: NO_CHANGES };
    await answerWith(422, refused);
    const { exitCode, stdout } = await runCommand(["reload", "--json", "--socket", socket]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toEqual(refused);
  });
});
