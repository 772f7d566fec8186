/**
 * The server name of the same bytes, as HAProxy's req.ssl_sni reads it and as portmesh does.
 *
 *   hellos of real clients and made-up ones ──> HAProxy ──log──> "CLIENT-PORT NAME"
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { ClientHello, decodeClientHello } from "../../src/wire/index.ts";
import { accepts } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freePort } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { type RunningProgram, startProgram } from "../support/os/start-program.ts";
import { seededRandom } from "../support/random/seeded-random.ts";
import { waitFor } from "../support/time/wait-for.ts";
import {
  BORINGSSL,
  CURL,
  CURL_ADDRESS,
  helloMessage,
  inRecords,
  OPENSSL,
  OPENSSL_NO_NAME,
  serverName,
} from "../support/tls/client-hellos.ts";

const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 32);
const MADE_UP = 60;
/** HAProxy waits so long for a hello that is none. */
const INSPECT_MS = 500;

const random = seededRandom(SEED);
console.log(`SEED=${SEED}`);

describe.skipIf(lacks("haproxy"))("HAProxy", () => {
  let haproxy: RunningProgram;
  let log: UdpPeer;
  let port: number;

  beforeAll(async () => {
    log = await UdpPeer.open();
    port = await freePort();
    const config = `global
  maxconn 200
  log 127.0.0.1:${log.port} format raw local0
defaults
  log global
  mode tcp
  timeout client 5s
frontend names
  bind 127.0.0.1:${port}
  log-format "%cp %[var(sess.name)]"
  tcp-request inspect-delay ${INSPECT_MS}ms
  tcp-request content set-var(sess.name) req.ssl_sni
  tcp-request content reject if { req.ssl_hello_type 1 } or WAIT_END
`;
    haproxy = startProgram("haproxy", { "haproxy.cfg": config }, (directory) => [
      "-f",
      `${directory}/haproxy.cfg`,
    ]);
    await waitFor(() => accepts("127.0.0.1", port), { what: "HAProxy to listen" });
  });

  afterAll(async () => {
    await haproxy.stop();
    log.close();
  });

  async function nameAtHaproxy(stream: Uint8Array): Promise<string> {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    const prefix = `${socket.localPort} `;
    socket.write(stream);
    const line = await waitFor(() => log.texts.find((text) => text.startsWith(prefix)), {
      what: "HAProxy to log the connection",
    });
    socket.destroy();
    const name = line.slice(prefix.length).trim();
    return name === "-" ? "" : name.toLowerCase().replace(/\.$/, "");
  }

  test("reads the same names", async () => {
    const streams = [OPENSSL, OPENSSL_NO_NAME, CURL, CURL_ADDRESS, BORINGSSL, ...madeUp()];
    const names = await Promise.all(streams.map(nameAtHaproxy));
    expect(streams.map(nameHere)).toEqual(names);
    expect(new Set(names).size).toBeGreaterThan(5);
  });
});

function nameHere(stream: Uint8Array): string {
  return decodeClientHello(stream.slice(), 0, stream.length, new ClientHello()).serverName ?? "";
}

/** In one record each, as HAProxy reads no hello of several; with names, without, and no TLS at all. */
function madeUp(): Uint8Array[] {
  return Array.from({ length: MADE_UP }, () => {
    const kind = below(10);
    if (kind === 0) return Uint8Array.from({ length: 40 }, () => below(256));
    const name = Array.from({ length: 1 + below(4) }, () => "Ab-9xyz".slice(below(6))).join(".");
    const others = Array.from({ length: below(5) }, () => {
      const data = Uint8Array.from({ length: below(80) }, () => below(256));
      return [1 + below(60_000), data] as const;
    });
    const at = below(others.length + 1);
    const extensions = [
      ...others.slice(0, at),
      ...(kind === 1 ? [] : [serverName(name)]),
      ...others.slice(at),
    ];
    return inRecords(helloMessage({ sessionBytes: below(33), ciphers: [0x1301, 0x2a2a], extensions }));
  });
}

function below(limit: number): number {
  return Math.floor(random() * limit);
}
