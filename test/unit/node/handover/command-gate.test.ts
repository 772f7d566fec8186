/** What comes to a process after its successor has the admin socket goes there, and comes back as it was answered. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { CommandGate } from "../../../../src/node/handover/command-gate.ts";
import { tempDir } from "../../../support/os/temp-dir.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A gate whose successor answers so. */
async function gateTo(answer: (request: Request) => Response): Promise<CommandGate> {
  const directory = tempDir();
  const path = join(directory.path, "admin.sock");
  const server = Bun.serve({ unix: path, fetch: answer });
  cleanUps.push(
    () => directory[Symbol.dispose](),
    () => server.stop(true),
  );
  const gate = new CommandGate(
    () => new Response("of the predecessor"),
    () => ({ path, isInPlace: false, restore: async () => undefined }),
  );
  await gate.freeze();
  await gate.leave();
  return gate;
}

test("metrics keep their format and their compression", async () => {
  const asked: (string | null)[] = [];
  const gate = await gateTo(({ headers }) => {
    asked.push(headers.get("accept"), headers.get("accept-encoding"));
    const answered = { "content-type": "application/openmetrics-text", "content-encoding": "gzip" };
    return new Response(gzipSync("# EOF\n"), { headers: answered });
  });
  const headers = { accept: "application/openmetrics-text", "accept-encoding": "gzip" };
  const response = await gate.handle(new Request("http://portmesh/metrics", { headers }));
  expect(asked).toEqual(["application/openmetrics-text", "gzip"]);
  expect(response.headers.get("content-type")).toBe("application/openmetrics-text");
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(response.headers.get("connection")).toBe("close");
  expect(gunzipSync(await response.arrayBuffer()).toString()).toBe("# EOF\n");
});

test("a command keeps its body, its status and its answer", async () => {
  const gate = await gateTo((request) =>
    Response.json(
      { asked: new URL(request.url).search, type: request.headers.get("content-type") },
      { status: 409 },
    ),
  );
  const request = new Request("http://portmesh/v1/services?x=1", { method: "POST", body: "{}" });
  const response = await gate.handle(request);
  expect(response.status).toBe(409);
  expect(await response.json()).toEqual({ asked: "?x=1", type: "application/json" });
  expect(response.headers.get("content-type")).toStartWith("application/json");
});
