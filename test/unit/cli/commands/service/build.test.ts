import { describe, expect, test } from "bun:test";
import { buildCreate, type CreateOptions } from "../../../../../src/cli/commands/service/build-create.ts";
import {
  buildUpdate,
  refuseEmptyUpdate,
  type UpdateOptions,
} from "../../../../../src/cli/commands/service/build-update.ts";
import { CommandFailure } from "../../../../../src/cli/invocation.ts";
import { SPEC, serviceView, taskView } from "../../../../support/node/fake-mesh.ts";

function create(options: Partial<CreateOptions> = {}) {
  return buildCreate({ name: "web", publish: ["8080:80"], ...options });
}

/** The failure of a command: its exit code and words. */
function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CommandFailure) return `${error.exitCode} ${error.message}`;
    throw error;
  }
  return "no failure";
}

describe("service create", () => {
  test("without options has the defaults of the file", () => {
    expect(create().request).toEqual({ name: "web", spec: SPEC, tasks: [] });
  });

  test("every option has its place", () => {
    const { request } = create({
      publish: ["8080:80", "53:53/udp"],
      task: ["10.0.0.5,weight=3"],
      balance: "source-hash",
      prefer: "zone",
      sendProxy: "v2",
      acceptProxy: ["192.0.2.7"],
      allow: ["10.0.0.5/8"],
      deny: ["10.66.0.0/16", "::1"],
      bind: ["eth0", "192.0.2.0/24"],
      nodeLabel: ["zone=eu-1", "note=a=b"],
      maxConnections: "100",
      idleTimeout: "1m30s",
      drainTimeout: "0s",
      udpMode: "packet",
      udpIdleTimeout: "5s",
      udpMaxSessions: "10",
      udpResponses: "2",
    });
    expect(request.tasks).toEqual([{ name: "10.0.0.5", host: "10.0.0.5", port: null, weight: 3 }]);
    expect(request.spec).toEqual({
      publish: [...SPEC.publish, { protocol: "udp", published: 53, target: 53, mode: "ingress" }],
      balance: "source-hash",
      prefer: "zone",
      sendProxy: "v2",
      acceptProxy: ["192.0.2.7/32"],
      allow: ["10.0.0.0/8"],
      deny: ["10.66.0.0/16", "::1/128"],
      bind: ["eth0", "192.0.2.0/24"],
      nodes: { zone: "eu-1", note: "a=b" },
      maxConnections: 100,
      idleTimeoutMs: 90_000,
      drainTimeoutMs: 0,
      check: null,
      panic: true,
      slowStartMs: 0,
      udp: { mode: "packet", idleTimeoutMs: 5_000, maxSessions: 10, responses: 2 },
    });
  });

  test.each<[Partial<CreateOptions>, string]>([
    [{ name: "a b" }, '2 --name: "a b" is not a service name'],
    [{ publish: ["8080"] }, "2 --publish 8080: names no published port"],
    [
      { publish: ["8080:80", "8080:81"] },
      "2 --publish 8080:81: port 8080/tcp of this service is published already, to 80",
    ],
    [{ task: ["x y"] }, '2 --task x y: "x y" is not HOST'],
    [{ task: ["::1", "[0::1]"] }, "2 --task [0::1]: is the same task as --task ::1"],
    [{ balance: "fast" }, '2 --balance: "fast" is not one of round-robin'],
    [{ prefer: "near" }, '2 --prefer: "near" is not one of any, local, zone'],
    [{ sendProxy: "v3" }, '2 --send-proxy: "v3" is not one of none, v1, v2'],
    [{ allow: ["10.0.0.0/33"] }, '2 --allow: "10.0.0.0/33" is not an IP address or a CIDR prefix'],
    [
      { bind: ["eth0", "300.1.1.1"] },
      '2 --bind: "300.1.1.1" is not an IP address, a CIDR prefix or an interface',
    ],
    [{ nodeLabel: ["zone"] }, '2 --node-label: "zone" is not KEY=VALUE'],
    [{ nodeLabel: ["zone=a", "zone=b"] }, '2 --node-label: "zone" is given twice'],
    [{ maxConnections: "many" }, '2 --max-connections: "many" is not a whole number'],
    [{ maxConnections: "2147483648" }, "2 --max-connections: 2147483648 is outside"],
    [{ idleTimeout: "5" }, '2 --idle-timeout: "5" is not a duration'],
    [{ udpIdleTimeout: "5s" }, "2 --udp-idle-timeout: has no effect: the service publishes no udp port"],
    [{ udpMaxSessions: "5" }, "2 --udp-max-sessions: has no effect: the service publishes no udp port"],
    [
      { publish: ["53:53/udp"], idleTimeout: "5s" },
      "2 --idle-timeout: has no effect on udp ports: use --udp-idle-timeout",
    ],
    [{ publish: ["53:53/udp"], maxConnections: "5" }, "2 --max-connections: has no effect on udp ports"],
    [{ publish: ["53:53/udp"], sendProxy: "v1" }, '2 --send-proxy: "v1" cannot carry udp'],
  ])("%j is refused: %s", (options, message) => {
    expect(failure(() => create(options))).toStartWith(message);
  });

  test("a port given twice with one meaning is one port", () => {
    expect(create({ publish: ["8080:80", "published=8080,target=80"] }).request.spec.publish).toEqual(
      SPEC.publish,
    );
  });

  test("a refusal names the flag it is about, as it was typed", () => {
    const { sources } = create({
      publish: ["80:80", "8000-8009:8000-8009/udp"],
      task: ["10.0.0.5,weight=2"],
    });
    const about = (subject: object) =>
      sources.explain({ code: "port-taken", error: "no", about: subject as never });
    expect(about({ port: { protocol: "udp", published: 8004 } })).toBe(
      "--publish 8000-8009:8000-8009/udp: no",
    );
    expect(about({ port: { protocol: "tcp", published: 8004 } })).toBe("no");
    expect(about({ task: "10.0.0.5" })).toBe("--task 10.0.0.5,weight=2: no");
    expect(about({ name: "web" })).toBe("no");
  });
});

describe("service update", () => {
  const web = serviceView("web", {
    tasks: [taskView("10.0.0.5"), taskView("[::1]:81", { host: "::1", port: 81 })],
  });
  const update = (options: UpdateOptions, service = web) => buildUpdate(service, options).request;

  test("changes what is named and expects the stamp that was read", () => {
    expect(update({ prefer: "local" })).toEqual({
      expected: web.stamp,
      spec: { ...SPEC, prefer: "local" },
      addTasks: [],
      removeTasks: [],
    });
  });

  test("that only concerns tasks, or changes nothing, leaves the specification alone", () => {
    expect(update({ taskAdd: ["10.0.0.6"], taskRm: ["[0::1]:81"] })).toEqual({
      expected: web.stamp,
      spec: null,
      addTasks: [{ name: "10.0.0.6", host: "10.0.0.6", port: null, weight: 1 }],
      removeTasks: ["[::1]:81"],
    });
    expect(update({ publishAdd: ["8080:80"], balance: "round-robin" }).spec).toBeNull();
  });

  test("removes ports before it adds, so that a port can be moved", () => {
    const moved = update({ publishAdd: ["8080:81"], publishRm: ["8080:80"] }).spec?.publish;
    expect(moved).toEqual([{ protocol: "tcp", published: 8080, target: 81, mode: "ingress" }]);
  });

  test("replaces lists; an empty value empties them", () => {
    const service = serviceView("web", {
      spec: { ...SPEC, deny: ["10.0.0.0/8"], bind: ["eth0"], nodes: { a: "b" } },
    });
    expect(update({ deny: ["::1"] }, service).spec?.deny).toEqual(["::1/128"]);
    expect(update({ deny: [""], bind: [""], nodeLabel: [""] }, service).spec).toEqual(SPEC);
  });

  test.each<[UpdateOptions, string]>([
    [
      { publishRm: ["81"] },
      "2 --publish-rm 81: no such port: published are 8080:80/tcp; name the target port",
    ],
    [{ publishRm: ["80/udp"] }, "2 --publish-rm 80/udp: no such port"],
    [{ publishRm: ["80", "80"] }, "2 --publish-rm 80: no such port"],
    [
      { publishRm: ["80"] },
      "2 --publish-rm: would leave no port: remove the service with `portmesh service rm web`",
    ],
    [
      { publishAdd: ["8080:81"] },
      "2 --publish-add 8080:81: port 8080/tcp of this service is published already, to 80",
    ],
    [
      { publishAdd: ["published=8080,target=80,mode=host"] },
      "2 --publish-add published=8080,target=80,mode=host: port",
    ],
    [{ taskAdd: ["10.0.0.5:0"] }, "2 --task-add 10.0.0.5:0: 0 is outside"],
    [{ udpMode: "packet" }, "2 --udp-mode: has no effect"],
  ])("%j is refused: %s", (options, message) => {
    expect(failure(() => update(options))).toStartWith(message);
  });

  test("a udp port does not join a service that sends v1 headers", () => {
    const service = serviceView("web", { spec: { ...SPEC, sendProxy: "v1" } });
    expect(failure(() => update({ publishAdd: ["53:53/udp"] }, service))).toContain('"v1" cannot carry udp');
  });

  test("without any option is wrong usage", () => {
    expect(failure(() => refuseEmptyUpdate({}))).toStartWith("2 nothing to change");
    expect(failure(() => refuseEmptyUpdate({ taskAdd: ["10.0.0.6"] }))).toBe("no failure");
  });
});
