/** What to try, in few lines. */
import { type DemoPlan, fileOf, socketOf } from "./demo-config.ts";
import { selfCommand } from "./node-child.ts";

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
      ${third.name} runs no task, and serves: each time another task says hello and tells your address
  dig +short @${third.host} -p ${ports.dns} demo.portmesh TXT
      a name server behind a UDP port, the same way
  ${portmesh} status ${socket}
      nodes, ports, tasks, connections of the whole cluster, from any node
  ${portmesh} trace ${ports.web} ${socket}
      which task would be picked from here, and why
  kill -9 ${pids[1]}
      ${second.name} is gone at once: curl goes on without a failure, with the tasks that are left
  $EDITOR ${fileOf(first)}
      save it and see all nodes follow; a mistake changes nothing
  ${portmesh} service create --name more -p ${ports.web + 10}:80 --task ${first.host}:${first.webTasks[0]} --send-proxy v2 --socket ${socketOf(first)}
      one more port on every node, without a file

Ctrl-C ends it and leaves nothing behind.

`;
}
