/** The file of the demo: short enough to read at once, with the lines in it that are fun to change. */

export interface DemoPlan {
  readonly socket: string;
  readonly ports: { readonly web: number; readonly dns: number };
  readonly webTasks: readonly number[];
  readonly dnsTasks: readonly number[];
}

export function demoConfig({ socket, ports, webTasks, dnsTasks }: DemoPlan): string {
  return `# portmesh demo. Change something and save: the running node follows within a second.

[node]
name = "demo"

[admin]
socket = ${JSON.stringify(socket)}

[log]
level = "info"                     # debug: one line for every connection that ends

[[services]]
name = "hello"
publish = ["${ports.web}:80"]             # try a second port: publish = ["${ports.web}:80", "${ports.web + 1}:80"]
bind = ["127.0.0.1"]
tasks = [
${webTasks.map((port) => `  "127.0.0.1:${port}",`).join("\n")}
]
balance = "round-robin"            # round-robin | least-connections | source-hash | random
send_proxy = "v2"                  # how the tasks know your address; try "none"
drain_timeout = "2s"

[[services]]
name = "dns"
publish = ["${ports.dns}:53/udp"]
bind = ["127.0.0.1"]
tasks = [
${dnsTasks.map((port) => `  "127.0.0.1:${port}",`).join("\n")}
]
drain_timeout = "2s"
`;
}
