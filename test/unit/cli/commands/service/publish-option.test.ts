import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  matchesPort,
  parsePublishOption,
  parsePublishRemoval,
} from "../../../../../src/cli/commands/service/publish-option.ts";
import { findTaskName, parseTaskOption } from "../../../../../src/cli/commands/service/task-option.ts";
import { formatPorts } from "../../../../../src/cli/render/ports.ts";
import type { PortSpec } from "../../../../../src/model/index.ts";

function port(published: number, target: number, protocol: PortSpec["protocol"] = "tcp", mode = "ingress") {
  return { protocol, published, target, mode } as PortSpec;
}

describe("--publish", () => {
  test.each([
    ["8080:80", [port(8080, 80)]],
    ["8080:80/tcp", [port(8080, 80)]],
    ["53:53/udp", [port(53, 53, "udp")]],
    ["53:5353/UDP", [port(53, 5353, "udp")]],
    ["8000-8002:80-82/udp", [port(8000, 80, "udp"), port(8001, 81, "udp"), port(8002, 82, "udp")]],
    ["published=8080,target=80", [port(8080, 80)]],
    ["target=80,published=8080", [port(8080, 80)]],
    ["published=53,target=53,protocol=udp", [port(53, 53, "udp")]],
    ["published=53,target=53,protocol=udp,mode=host", [port(53, 53, "udp", "host")]],
    ["mode=host,protocol=tcp,target=80,published=8080", [port(8080, 80, "tcp", "host")]],
    ["mode=ingress,target=80,published=8080", [port(8080, 80)]],
    ["Published=8080, Target=80", [port(8080, 80)]],
    [
      "published=443,target=80,sni=A.example,sni=*.b.example.",
      [{ ...port(443, 80), sni: ["a.example", "*.b.example"] }],
    ],
  ])("%s", (text, ports) => expect(parsePublishOption(text)).toEqual({ value: ports }));

  test.each([
    ["80", "Docker would pick a random one, portmesh publishes the port you name, e.g. 80:80"],
    [":80/udp", "e.g. 80:80/udp"],
    [
      "target=80",
      "Docker would pick a random one, portmesh publishes the port you name, e.g. published=80,target=80",
    ],
    ["published=8080", "target is missing"],
    [
      "published=8080,target=80,src=1",
      'unknown key "src": the keys are published, target, protocol, mode, sni',
    ],
    ["published=8080,target=80,target=81", "target is given twice"],
    ["published=8080,target", '"target" is not KEY=VALUE'],
    ["published=8080,target=8=0", '"target=8=0" is not KEY=VALUE'],
    ["published=8080,target=80,protocol=sctp", '"sctp" is not a protocol: tcp or udp'],
    ["8080:80/sctp", '"sctp" is not a protocol: tcp or udp'],
    ["published=8080,target=80,mode=global", "mode=global: the modes are ingress and host"],
    ["published=0,target=80", "published=0 is outside 1..65535"],
    ["published=8080,target=65536", "target=65536 is outside 1..65535"],
    ["published=1-2,target=1-2", "ranges have the short form"],
    ["70000:80", "70000 is outside 1..65535"],
    ["8000-8010:80", "both ranges must have the same length"],
    ["127.0.0.1:8080:80", "the short form takes no address: name it with --bind"],
    ["[::1]:8080:80", "the short form takes no address: name it with --bind"],
    ["http:80", '"http:80" is not PUBLISHED:TARGET'],
    ["", "is not PUBLISHED:TARGET"],
  ])("%p is refused: %s", (text, message) => {
    const parsed = parsePublishOption(text);
    expect("error" in parsed ? parsed.error : parsed).toContain(message);
  });

  test("what is shown can be typed again", () => {
    const one = fc.record({
      protocol: fc.constantFrom("tcp" as const, "udp" as const),
      published: fc.integer({ min: 1, max: 65535 }),
      target: fc.integer({ min: 1, max: 65535 }),
      mode: fc.constant("ingress" as const),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), (ports) => {
        const typed = formatPorts(ports).flatMap((text) => {
          const parsed = parsePublishOption(text);
          return "value" in parsed ? parsed.value : [];
        });
        expect(typed).toEqual(ports);
      }),
    );
  });

  test("no text breaks it", () => {
    const fragments = fc.constantFrom(
      "published",
      "target",
      "=",
      ",",
      ":",
      "-",
      "/",
      "udp",
      "80",
      "mode",
      "host",
      " ",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fragments).map((parts) => parts.join("")),
        ),
        (text) => {
          for (const parsed of [parsePublishOption(text), parsePublishRemoval(text)]) {
            expect("error" in parsed || parsed.value.length > 0).toBe(true);
          }
        },
      ),
    );
  });
});

describe("--publish-rm", () => {
  const published = [
    port(8080, 80),
    port(9090, 80),
    port(53, 53),
    port(53, 53, "udp"),
    port(81, 81, "tcp", "host"),
  ];
  test.each([
    ["80", [8080, 9090]],
    ["80/tcp", [8080, 9090]],
    ["8080:80", [8080]],
    ["8080:81", []],
    ["53/udp", [53]],
    ["53/tcp", [53]],
    ["81", [81]],
    ["target=80", [8080, 9090]],
    ["target=80,published=9090", [9090]],
    ["target=81,mode=host", [81]],
    ["target=81,mode=ingress", []],
    ["8080", []],
  ])("%s takes the ports published as %p", (text, taken) => {
    const parsed = parsePublishRemoval(text);
    const patterns = "value" in parsed ? parsed.value : [];
    const found = published.filter((one) => patterns.some((pattern) => matchesPort(pattern, one)));
    expect(found.map((one) => one.published)).toEqual(taken);
  });

  test.each([
    ["published=8080", "target is missing"],
    ["web", "is not PUBLISHED:TARGET"],
    ["80/sctp", "is not a protocol"],
  ])("%p is refused", (text, message) => {
    const parsed = parsePublishRemoval(text);
    expect("error" in parsed ? parsed.error : parsed).toContain(message);
  });
});

describe("--task", () => {
  test.each([
    ["127.0.0.1", { name: "127.0.0.1", host: "127.0.0.1", port: null, weight: 1 }],
    ["10.1.0.7:8081", { name: "10.1.0.7:8081", host: "10.1.0.7", port: 8081, weight: 1 }],
    ["[2001:db8::7]:80", { name: "[2001:db8::7]:80", host: "2001:db8::7", port: 80, weight: 1 }],
    ["Web.Internal,weight=256", { name: "Web.Internal", host: "web.internal", port: null, weight: 256 }],
  ])("%s", (text, task) => expect(parseTaskOption(text)).toEqual({ value: task }));

  test.each([
    ["10.1.0:80", "is not HOST"],
    ["10.1.0.7:70000", "70000 is outside 1..65535"],
    ["10.1.0.7,weight=0", '"0" is not a weight'],
    ["10.1.0.7,weight=257", '"257" is not a weight'],
    ["10.1.0.7,colour=red", '"colour=red" is not weight=N'],
    ["10.1.0.7,weight=1,weight=2", "is not a weight"],
    ["", "is not HOST"],
  ])("%p is refused: %s", (text, message) => {
    const parsed = parseTaskOption(text);
    expect("error" in parsed ? parsed.error : parsed).toContain(message);
  });

  test("a task is found under another spelling of its address", () => {
    const tasks = [{ name: "[::1]:80", host: "::1", port: 80 }];
    expect(findTaskName(tasks, "[0:0::1]:80")).toBe("[::1]:80");
    expect(findTaskName(tasks, "[::1]:81")).toBe("[::1]:81");
    expect(findTaskName(tasks, "what?")).toBe("what?");
  });
});
