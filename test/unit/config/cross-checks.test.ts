import { describe, expect, test } from "bun:test";
import { problemsOf, service } from "./problems-of.ts";

/** Services a, b, ... with these publish lists and bind rules, three lines each. */
function services(...list: [publish: string[], bind?: string[]][]): string {
  return list
    .map(([publish, bind], index) => {
      const name = String.fromCharCode(97 + index);
      const bindLine = bind === undefined ? "" : `\nbind = ${JSON.stringify(bind)}`;
      return `[[services]]\nname = "${name}"\npublish = ${JSON.stringify(publish)}${bindLine}\n`;
    })
    .join("");
}

describe("ports claimed twice", () => {
  test("by two services: both places are named", () => {
    expect(problemsOf(services([["80:1"]], [["80:2"]]))).toEqual([
      'test.toml:6: services[1].publish[0]: 80:2/tcp claims 80/tcp, already published by services[0].publish[0] (line 3) of "a"; bind the services to different addresses to share the port',
    ]);
  });

  test("by server names: only the same one, or none twice", () => {
    const table = (sni: string) => `{ published = 443, sni = ${sni} }`;
    const file = (...lists: string[]) =>
      lists.map((list, index) => `[[services]]\nname = "s${index}"\npublish = [${list}]\n`).join("");
    expect(
      problemsOf(file('"443"', table('["a.example"]'), table('["*.b.example"]'), table('["b.b.example"]'))),
    ).toEqual([]);
    expect(
      problemsOf(file(table('["x.example", "y.example"]'), table('["Y.example.", "x.example"]'))),
    ).toEqual([
      'test.toml:6: services[1].publish[0]: 443:443/tcp sni y.example,x.example claims 443/tcp, already published by services[0].publish[0] (line 3) of "s0"; give them different server names to share the port',
    ]);
    expect(problemsOf(file(`${table('["a.example"]')}, "443:1"`))).toEqual([
      "test.toml:3: services[0].publish[1]: 443:1/tcp claims 443/tcp, already published by services[0].publish[0] (line 3)",
    ]);
  });

  test.each([
    ['"192.0.2.1"', '"192.0.2.1" is not a DNS name like "a.example.org" or "*.example.org"'],
    ['"*"', '"*" is not a DNS name'],
    ['"a.*.example"', "is not a DNS name"],
    ['"a b"', "is not a DNS name"],
    ['"a.example", "A.example"', '"a.example" is there twice'],
    ["", "empty: at least one entry is required"],
  ])("sni = [%s]", (sni, message) => {
    const publish = `publish = [{ published = 443, sni = [${sni}] }]`;
    const problems = problemsOf(`[[services]]\nname = "a"\n${publish}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
  });

  test("sni on a udp port", () => {
    const publish = 'publish = [{ published = 443, protocol = "udp", sni = ["a.example"] }]';
    expect(problemsOf(`[[services]]\nname = "a"\n${publish}\n`)).toEqual([
      "test.toml:3: services[0].publish[0].sni: has no effect on udp ports: a server name is read from TLS over tcp",
    ]);
  });

  test("within one service", () => {
    expect(problemsOf(services([["80", "53", "80:81"]]))).toEqual([
      "test.toml:3: services[0].publish[2]: 80:81/tcp claims 80/tcp, already published by services[0].publish[0] (line 3)",
    ]);
  });

  const clashing: [string, string][] = [
    ["80-90", "85"],
    ["85", "80-90"],
    ["80-90", "90-99"],
    ["50000-65535", "65535"],
    ["53/udp", "50-60/udp"],
  ];
  test.each(clashing)("%s and %s clash", (first, second) => {
    const problems = problemsOf(services([[first]], [[second]]));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith("test.toml:6: services[1].publish[0]: ");
  });

  test.each([
    ["80/tcp", "80/udp"],
    ["80-89", "90-99"],
  ])("%s and %s do not", (first, second) => {
    expect(problemsOf(services([[first]], [[second]]))).toEqual([]);
  });

  const binds: [string[], string[], boolean][] = [
    [[], ["192.0.2.1"], true],
    [["192.0.2.1"], ["192.0.2.2"], false],
    [["192.0.2.1"], ["192.0.2.0/24"], true],
    [["192.0.2.0/24"], ["192.0.0.0/16"], true],
    [["192.0.2.0/24"], ["192.0.3.0/24"], false],
    [["0.0.0.0"], ["192.0.2.1"], true],
    [["0.0.0.0"], ["::"], false],
    [["::"], ["2001:db8::1"], true],
    [["eth0"], ["eth1"], false],
    [["eth0"], ["eth0"], true],
    [["eth0"], ["192.0.2.1"], true],
    [["192.0.2.1", "::1"], ["127.0.0.1", "::1"], true],
  ];
  test.each(binds)("bound to %j and %j: %p", (first, second, isClash) => {
    expect(problemsOf(services([["80"], first], [["80"], second]))).toHaveLength(isClash ? 1 : 0);
  });

  test("many equal claims are found in linear time", () => {
    const ports = Array.from({ length: 5_000 }, () => "80");
    expect(problemsOf(services([ports])).at(-1)).toBe("test.toml: and 4900 more problems"); // one: the service is too large
  });

  test("more ports than any node has", () => {
    const full = Array.from({ length: 17 }, (_, index): [string[], string[]] => [
      ["1-16384"],
      [`10.0.0.${index}`],
    ]);
    expect(problemsOf(services(...full))).toEqual([
      "test.toml:1: services: 278528 published ports in all: at most 262140 are allowed",
    ]);
  });
});

describe("names and tasks given twice", () => {
  test("service name", () => {
    const text = `${service("")}\n[[services]]\nname = "web"\npublish = ["81"]`;
    expect(problemsOf(text)).toEqual([
      'test.toml:6: services[1].name: "web" is also the name of services[0].name (line 2)',
    ]);
  });

  test("task, also when spelled otherwise", () => {
    expect(problemsOf(service('tasks = [\n"[::1]",\n"0::1", "::1", "[::1]:80"]'))).toEqual([
      'test.toml:6: services[0].tasks[1]: "0::1" is the same task as services[0].tasks[0] (line 5)',
      'test.toml:6: services[0].tasks[2]: "::1" is the same task as services[0].tasks[0] (line 5)',
    ]);
  });
});

describe("options without effect", () => {
  const udpOnly = (keys: string) => `[[services]]\nname = "a"\npublish = ["53/udp"]\n${keys}`;

  test("udp without a udp port", () => {
    expect(problemsOf(service("udp = {}"))).toEqual([
      "test.toml:4: services[0].udp: has no effect: the service publishes no udp port",
    ]);
  });

  test("TCP options with udp ports only", () => {
    expect(problemsOf(udpOnly('idle_timeout = "1s"\nmax_connections = 0'))).toEqual([
      "test.toml:4: services[0].idle_timeout: has no effect on udp ports: use udp.idle_timeout",
      "test.toml:5: services[0].max_connections: has no effect on udp ports: use udp.max_sessions",
    ]);
  });

  test("PROXY v1 cannot carry udp", () => {
    expect(problemsOf(udpOnly('send_proxy = "v1"'))).toEqual([
      'test.toml:4: services[0].send_proxy: "v1" cannot carry udp: use "v2", or publish the udp port as another service',
    ]);
    expect(problemsOf(udpOnly('send_proxy = "v2"'))).toEqual([]);
  });
});
