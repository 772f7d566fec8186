import { describe, expect, test } from "bun:test";
import { demoBanner } from "../../../../src/cli/demo/demo-banner.ts";
import { demoConfig } from "../../../../src/cli/demo/demo-config.ts";
import { answerDns } from "../../../../src/cli/demo/dns-task.ts";
import { findFreePort } from "../../../../src/cli/demo/free-port.ts";
import { startWebTask } from "../../../../src/cli/demo/web-task.ts";
import { configOf } from "../../../support/node/config-of.ts";

const nodes = [1, 2, 3].map((index) => ({
  name: `node-${index}`,
  host: `127.0.0.${index}`,
  directory: "/tmp/demo",
  webTasks: index === 3 ? [] : [1000 + index],
  dnsTasks: index === 1 ? [1003] : [],
}));
const ports = { web: 8080, dns: 5300, gossip: 7946, relay: 4789 };
const plan = { nodes, ports, key: Buffer.alloc(32, 1).toString("base64") };

test("the demo's files are right and say what the plan says", () => {
  const [first, , third] = nodes.map((node) => configOf(demoConfig(node, plan)));
  expect(first!.admin.socket).toBe("/tmp/demo/node-1.sock");
  expect(first!.services.map((service) => service.publish[0]?.published)).toEqual([8080, 5300]);
  expect(first!.services[0]!.tasks.map((task) => task.name)).toEqual(["127.0.0.1:1001"]);
  expect(first!.cluster!.join).toEqual([
    { host: "127.0.0.2", port: 7946 },
    { host: "127.0.0.3", port: 7946 },
  ]);
  expect(third!.services.map((service) => service.tasks)).toEqual([[], []]);
});

test("the banner says what to try with the ports there are", () => {
  const banner = demoBanner(plan, [11, 12, 13]);
  for (const hint of [
    "curl http://127.0.0.3:8080/",
    "-p 5300",
    "--socket /tmp/demo/node-3.sock",
    "/tmp/demo/node-1.toml",
    "kill -9 12",
  ]) {
    expect(banner).toContain(hint);
  }
});

test("findFreePort passes over ports that are taken", async () => {
  const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  expect(await findFreePort("tcp", taken.port)).toBeGreaterThan(taken.port);
  taken.stop(true);
});

describe("a web task", () => {
  test("answers with the client's address from the PROXY header", async () => {
    const { port } = await startWebTask("task-a");
    const received = Promise.withResolvers<string>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => {
          socket.write("PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\nGET / HTTP/1.1\r\n\r\n");
        },
        data: (_, chunk) => received.resolve(chunk.toString()),
      },
    });
    expect(await received.promise).toContain("hello from task-a, your connection came from 192.0.2.7:5555\n");
  });

  test("says so when there is none", async () => {
    const { port } = await startWebTask("task-a");
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toContain("send_proxy is off");
  });
});

describe("answerDns", () => {
  const query = (type: number) =>
    Uint8Array.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, ...Buffer.from("demo"), 0, 0, type, 0, 1]);

  test.each([
    [1, [0, 4, 127, 0, 0, 1]],
    [16, [0, 14, 13, ...Buffer.from("hello from me")]],
  ])("type %p has one record", (type, data) => {
    const response = answerDns(query(type), "me")!;
    expect([...response.slice(0, 8)]).toEqual([0xab, 0xcd, 0x85, 0, 0, 1, 0, 1]);
    expect([...response.slice(query(type).length)]).toEqual([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, ...data]);
  });

  test("an unknown type has none", () => {
    const response = answerDns(query(15), "me")!;
    expect(response.length).toBe(query(15).length);
    expect(response[7]).toBe(0);
  });

  test("what is no query is not answered, however it is cut", () => {
    const whole = query(1);
    for (let length = 0; length < whole.length; length++) {
      expect(answerDns(whole.slice(0, length), "me")).toBeNull();
    }
    expect(answerDns(Buffer.from("hello, is anybody there?"), "me")).toBeNull();
  });
});
