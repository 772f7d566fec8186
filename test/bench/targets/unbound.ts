/** unbound as a DNS server that answers from its configuration alone. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const ZONE = "bench.test";
const NAMES = 100;

export interface UnboundFiles {
  readonly command: string[];
  /** dnsperf's input: one `name type` per line. */
  readonly queryFile: string;
}

export function prepareUnbound(program: string, directory: string, port: number): UnboundFiles {
  const names = Array.from({ length: NAMES }, (_, index) => `host${index}.${ZONE}`);
  const configurationFile = join(directory, "unbound.conf");
  const queryFile = join(directory, "queries");
  writeFileSync(configurationFile, configuration(directory, port, names));
  writeFileSync(queryFile, names.map((name) => `${name} A\n`).join(""));
  return { command: [program, "-d", "-c", configurationFile], queryFile };
}

function configuration(directory: string, port: number, names: readonly string[]): string {
  return `server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  verbosity: 0
  num-threads: 1
  interface: 127.0.0.1
  port: ${port}
  do-tcp: no
  do-ip6: no
  so-rcvbuf: 4m
  so-sndbuf: 4m
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  local-zone: "${ZONE}." static
${names.map((name) => `  local-data: "${name}. 60 IN A 192.0.2.1"`).join("\n")}
remote-control:
  control-enable: no
`;
}
