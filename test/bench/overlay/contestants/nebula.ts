/** nebula: two hosts of one certificate authority that know each other's addresses, without a lighthouse. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../process.ts";
import { type End, type Link, MTU_BYTES, runIn, type Side } from "../link.ts";
import { type Contestant, lacking } from "./contestant.ts";
import { startPair, tunnelOf } from "./processes.ts";

const ADDRESSES: Readonly<Record<Side, string>> = { left: "10.96.0.1", right: "10.96.0.2" };
const PORT = 4242;
/** Outer IPv4 and UDP headers, nebula's own header and the tag: as large as fits, where its default is 1,300. */
const OVERHEAD_BYTES = 20 + 8 + 16 + 16;

export const nebula: Contestant = {
  name: "nebula",
  isEncrypted: true,
  unavailable: () => lacking({ nebula: "nebula", "nebula-cert": "nebula" }),
  async start(bench, link) {
    const directory = bench.path("nebula");
    mkdirSync(directory);
    makeCertificates(link, directory);
    const pair = startPair(bench, link, "nebula", (end) => {
      const file = join(directory, `${end.side}.yml`);
      writeFileSync(file, configuration(link, end, directory));
      return [findProgram("nebula")!, "-config", file];
    });
    return tunnelOf(link, pair, ADDRESSES.right);
  },
};

function makeCertificates({ ends, left }: Link, directory: string): void {
  const path = (name: string) => join(directory, name);
  const authority = ["-out-crt", path("ca.crt"), "-out-key", path("ca.key")];
  runIn(left, ["nebula-cert", "ca", "-name", "bench", ...authority]);
  for (const { side } of ends) {
    const signer = ["-ca-crt", path("ca.crt"), "-ca-key", path("ca.key")];
    const subject = ["-name", side, "-ip", `${ADDRESSES[side]}/24`];
    const out = ["-out-crt", path(`${side}.crt`), "-out-key", path(`${side}.key`)];
    runIn(left, ["nebula-cert", "sign", ...signer, ...subject, ...out]);
  }
}

/** JSON is YAML. Buffers as nebula's example file recommends them. */
function configuration({ left, right }: Link, end: End, directory: string): string {
  const peer = end.side === "left" ? right : left;
  const anything = [{ port: "any", proto: "any", host: "any" }];
  return JSON.stringify({
    pki: {
      ca: join(directory, "ca.crt"),
      cert: join(directory, `${end.side}.crt`),
      key: join(directory, `${end.side}.key`),
    },
    static_host_map: { [ADDRESSES[peer.side]]: [`${peer.address}:${PORT}`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: end.address, port: PORT, read_buffer: 10_485_760, write_buffer: 10_485_760 },
    tun: { dev: "nebula0", mtu: MTU_BYTES - OVERHEAD_BYTES },
    logging: { level: "warning" },
    firewall: { outbound: anything, inbound: anything },
  });
}
