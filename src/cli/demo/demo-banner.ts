/** What to try, in few lines. */
import { type DemoPlan, fileOf, socketOf } from "./demo-config.ts";
import { selfCommand } from "./self-command.ts";

/** @param pids of the nodes, in the plan's order */
export function demoBanner({ nodes, ports }: DemoPlan, pids: readonly number[]): string {
  const [first, second, third] = nodes as readonly [
    DemoPlan["nodes"][0],
    DemoPlan["nodes"][0],
    DemoPlan["nodes"][0],
  ];
  const portmesh = selfCommand().join(" ");
  const socket = `--socket ${socketOf(third)}`;
  return `
portmesh demo: three nodes, ${nodes.map(({ name, host }) => `${name} on ${host}`).join(", ")}. Tasks run on ${first.name} and ${second.name}
only; every node serves TCP port ${ports.web} and UDP port ${ports.dns}. In another terminal:

  curl http://${third.host}:${ports.web}/
      ${third.name} runs no task and serves anyway: each request goes to another task, which shows your address
  dig +short @${third.host} -p ${ports.dns} demo.portmesh TXT
      a DNS server behind a UDP port
  ${portmesh} status ${socket}
      nodes, ports, tasks and connections of the whole cluster, from any node
  ${portmesh} trace ${ports.web} ${socket}
      which task this node would pick, and why
  kill -9 ${pids[1]}
      ${second.name} is out of routing at once: curl keeps working, with the remaining tasks
  $EDITOR ${fileOf(first)}
      save it and all nodes follow; an invalid file changes nothing
  ${portmesh} service create --name more -p ${ports.web + 10}:80 --task ${first.host}:${first.webTasks[0]} --send-proxy v2 --socket ${socketOf(first)}
      one more port on every node, without editing a file

Ctrl-C stops everything and leaves nothing behind.

`;
}
