/**
 * PROXY headers against HAProxy, which defined them.
 *
 *   HAProxy (send-proxy) -> portmesh (accept_proxy, send_proxy) -> HAProxy (accept-proxy, answers with the source)
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { request as httpRequest } from "node:http";
import { request } from "../support/load/http-load.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { type RunningProgram, startProgram } from "../support/os/start-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const VERSIONS = ["v1", "v2"] as const;
/** The address of the client that talks to the sending HAProxy. */
const CLIENT = "127.0.0.77";

describe.skipIf(lacks("haproxy"))("HAProxy", () => {
  let haproxy: RunningProgram;
  let node: NodeProcess;
  let sendingV1: number;
  let sendingV2: number;
  let toV1: number;
  let toV2: number;

  beforeAll(async () => {
    const ports = (await freePorts(7)) as [number, number, number, number, number, number, number];
    const [answering, trustedV1, trustedV2] = ports;
    [, , , sendingV1, sendingV2, toV1, toV2] = ports;
    haproxy = startProgram(
      "haproxy",
      { "haproxy.cfg": haproxyConfig(answering, trustedV1, trustedV2) },
      (directory) => ["-f", `${directory}/haproxy.cfg`],
    );
    node = await NodeProcess.start(nodeConfig(answering, trustedV1, trustedV2));
    await waitFor(async () => (await request("127.0.0.1", toV2)).error === null, { what: "the whole chain" });
  });

  afterAll(async () => {
    await node.kill();
    await haproxy.stop();
  });

  function haproxyConfig(answering: number, trustedV1: number, trustedV2: number): string {
    return `global
  maxconn 500
defaults
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend answering
  mode http
  bind 127.0.0.1:${answering} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[dst_port]"
listen sending-v1
  mode tcp
  bind 127.0.0.1:${sendingV1}
  server a 127.0.0.1:${trustedV1} send-proxy
listen sending-v2
  mode tcp
  bind 127.0.0.1:${sendingV2}
  server a 127.0.0.1:${trustedV2} send-proxy-v2
`;
  }

  function nodeConfig(answering: number, trustedV1: number, trustedV2: number): string {
    const services = [
      ["to-v1", toV1, "v1", ""],
      ["to-v2", toV2, "v2", ""],
      ["trusted-v1", trustedV1, "v2", 'accept_proxy = ["127.0.0.1"]'],
      ["trusted-v2", trustedV2, "v1", 'accept_proxy = ["127.0.0.1"]'],
    ] as const;
    return services
      .map(
        ([name, port, version, accept]) => `[[services]]
name = "${name}"
publish = ["${port}:${answering}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
send_proxy = "${version}"
${accept}
`,
      )
      .join("");
  }

  for (const version of VERSIONS) {
    test(`reads the ${version} header that a task gets`, async () => {
      const port = version === "v1" ? toV1 : toV2;
      expect(await get(port)).toBe(`${CLIENT} ${port}`);
    });

    test(`as sender of ${version}: its client's address reaches the task`, async () => {
      const port = version === "v1" ? sendingV1 : sendingV2;
      expect(await get(port)).toBe(`${CLIENT} ${port}`);
    });
  }
});

/** The body of an answer to a request from CLIENT. */
function get(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, localAddress: CLIENT, agent: false, timeout: 5000 };
    const request = httpRequest(options, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve(body));
    });
    request.on("error", reject);
    request.end();
  });
}
