/** The files of the demo's nodes: short enough to read at once, with the lines in them that are fun to change. */

/** One node of the demo; each has an address of its own, and all have the same ports. */
export interface DemoNode {
  readonly name: string;
  /** 127.0.0.1, .2, .3 */
  readonly host: string;
  readonly directory: string;
  /** Ports of the tasks that run on it. */
  readonly webTasks: readonly number[];
  readonly dnsTasks: readonly number[];
}

export interface DemoPorts {
  readonly web: number;
  readonly dns: number;
  readonly gossip: number;
  readonly relay: number;
}

export interface DemoPlan {
  readonly nodes: readonly DemoNode[];
  readonly ports: DemoPorts;
  /** Of the cluster, base64. */
  readonly key: string;
}

export function fileOf({ directory, name }: DemoNode): string {
  return `${directory}/${name}.toml`;
}

export function socketOf({ directory, name }: DemoNode): string {
  return `${directory}/${name}.sock`;
}

export function demoConfig(node: DemoNode, { nodes, ports, key }: DemoPlan): string {
  const others = nodes.filter((other) => other !== node).map((other) => `"${other.host}:${ports.gossip}"`);
  return `# portmesh demo, node ${node.name}. Edit and save: the running nodes apply the change within a second.

[node]
name = "${node.name}"
data_dir = ${JSON.stringify(`${node.directory}/${node.name}-data`)}

[cluster]
name = "demo"
keys = ["${key}"]
join = [${others.join(", ")}]
bind = "${node.host}:${ports.gossip}"
profile = "local"

[overlay]
driver = "none"                    # nodes on one machine need no network between them
port = ${ports.relay}

[proxy]
bind = ["${node.host}"]
workers = 1

[admin]
socket = ${JSON.stringify(socketOf(node))}

[log]
level = "info"                     # debug: one line per connection
format = "pretty"

[[services]]
name = "hello"
publish = ["${ports.web}:80"]             # try a second port: publish = ["${ports.web}:80", "${ports.web + 1}:80"]
tasks = [${taskList(node, node.webTasks)}]
balance = "round-robin"            # round-robin | least-connections | source-hash | random
send_proxy = "v2"                  # gives the tasks your address; try "none"
drain_timeout = "2s"

[[services]]
name = "dns"
publish = ["${ports.dns}:53/udp"]
tasks = [${taskList(node, node.dnsTasks)}]
drain_timeout = "2s"
`;
}

/** Every node declares the tasks that run on it; one without any still serves the port. */
function taskList({ host }: DemoNode, ports: readonly number[]): string {
  return ports.map((port) => `"${host}:${port}"`).join(", ");
}
