/** Trials of ports end with the true error, whatever the network is like. Here it has one neighbour and no default route. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { openFirewall } from "../support/network/firewall.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";

const TIMEOUT_MS = 30_000;
const FILES = ["sys/connection-trial.ts", "sys/datagram-trial.ts", "wire/index.ts"].map((file) =>
  resolve("src", file),
);
const SCRIPT = `
import { tryConnection } from ${JSON.stringify(FILES[0])};
import { tryDatagrams } from ${JSON.stringify(FILES[1])};
import { parseIp } from ${JSON.stringify(FILES[2])};
const at = { address: parseIp(process.argv[1]).bytes, port: 9, localAddress: null, timeoutMs: 1500 };
const more = { localPorts: [61000, 65535], request: new Uint8Array(2), sendAtMs: [0, 50], isAnswer: () => true };
const [connection, { error }] = await Promise.all([tryConnection(at), tryDatagrams({ ...at, ...more })]);
console.log(JSON.stringify([connection, error]));
`;

describe.skipIf(lacksNamespaces())("trials", () => {
  let network: Namespaces;
  let [n1, n2]: NetworkNode[] = [];
  beforeAll(() => {
    network = Namespaces.create(2);
    [n1, n2] = network.nodes as [NetworkNode, NetworkNode];
  });
  afterAll(() => network.close());

  async function errors(host: string): Promise<(string | null)[]> {
    return JSON.parse(await n1!.run(process.execPath, "-e", SCRIPT, host));
  }

  test.each(["203.0.113.1", "2001:db8::1"])("without a route to %s", async (host) => {
    expect(await errors(host)).toEqual(["ENETUNREACH", "ENETUNREACH"]);
  });

  test(
    "of ports that are closed, rejected, and dropped by this machine or the other",
    async () => {
      const [own, other] = [await openFirewall(n1!), await openFirewall(n2!)];
      expect(await errors(n2!.address)).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
      await other.load({ input: ["meta l4proto { tcp, udp } reject with icmp type admin-prohibited"] });
      expect(await errors(n2!.address)).toEqual(["EHOSTUNREACH", "EHOSTUNREACH"]);
      await other.load({ input: ["drop"] });
      expect(await errors(n2!.address)).toEqual(["ETIMEDOUT", null]);
      await own.load({ output: ["meta l4proto { tcp, udp } drop"] });
      expect(await errors(n2!.address)).toEqual(["ETIMEDOUT", "EPERM"]);
    },
    TIMEOUT_MS,
  );
});
