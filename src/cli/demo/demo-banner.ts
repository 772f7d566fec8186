/** What to try, in few lines. */
import type { DemoPlan } from "./demo-config.ts";

const COMPILED_ROOT = "/$bunfs/"; // where a compiled executable finds its own modules

export function demoBanner({
  file,
  socket,
  ports,
}: Pick<DemoPlan, "socket" | "ports"> & { file: string }): string {
  const portmesh = Bun.main.startsWith(COMPILED_ROOT) ? process.execPath : "npx bun src/main.ts";
  const web = `127.0.0.1:${ports.web}`;
  const dns = `127.0.0.1:${ports.dns}`;
  return `
portmesh demo: one node, three web tasks behind ${web}, two DNS tasks behind ${dns}/udp. In another terminal:

  curl http://${web}/
      each time another task says hello and tells your address
  dig +short @127.0.0.1 -p ${ports.dns} demo.portmesh TXT
      a name server behind a UDP port; what is no DNS query comes back as it was
  ${portmesh} status --socket ${socket}
      ports, tasks, connections
  $EDITOR ${file}
      save it and see the node follow; a mistake changes nothing

Ctrl-C ends it and leaves nothing behind.

`;
}
