/** HAProxy in TCP mode. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isListening } from "../ports.ts";
import { findProgram, hardFileLimit } from "../process.ts";
import type { SubjectName } from "../workload.ts";
import type { ProxyProgram, ProxySetup } from "./proxy.ts";

/**
 * HAProxy refuses to start unless the hard limit of open files covers two descriptors per connection, two per
 * pipe and some of its own; by default it wants maxconn / 4 pipes, far more than any workload here holds.
 */
const MAX_CONNECTIONS = 10_000;
const MAX_PIPES = 32;
const OTHER_DESCRIPTORS = 100;

/** As the goals name it. It splices when HAProxy's own heuristic says so, which may be never. */
export const haproxy = haproxyWith("haproxy", ["splice-auto"]);
/** Splices always: the strongest HAProxy for bulk, so that the heuristic does not flatter anybody. */
export const haproxySplice = haproxyWith("haproxy-splice", ["splice-request", "splice-response"]);

/** Two in a row, what a mesh is compared with: clients see the first, the target the second. */
export const haproxyPair: ProxyProgram = {
  name: "haproxy-pair",
  unavailable: haproxy.unavailable,
  prepare(setup) {
    const between = setup.routes.map(() => setup.takePort());
    const first = setup.routes.map((route, index) => ({ ...route, targetPort: between[index]! }));
    const second = setup.routes.map((route, index) => ({ ...route, listenPort: between[index]! }));
    return {
      commands: [
        commandOf({ ...setup, routes: first }, ["splice-auto"], "first.cfg"),
        commandOf({ ...setup, routes: second }, ["splice-auto"], "second.cfg"),
      ],
      isReady: () => between.every((port) => isListening(port, "tcp")),
    };
  },
};

function haproxyWith(name: SubjectName, splicing: readonly string[]): ProxyProgram {
  return {
    name,
    unavailable: () => (findProgram("haproxy") ? undefined : "haproxy is not installed"),
    prepare(setup) {
      return { commands: [commandOf(setup, splicing, "haproxy.cfg")] };
    },
  };
}

function commandOf(setup: ProxySetup, splicing: readonly string[], fileName: string): string[] {
  const file = join(setup.directory, fileName);
  writeFileSync(file, configuration(setup, splicing, hardFileLimit()));
  return [findProgram("haproxy")!, "-db", "-f", file];
}

function configuration(
  { routes, workers }: ProxySetup,
  splicing: readonly string[],
  fileLimit: number,
): string {
  const affordable = Math.floor((fileLimit - 2 * MAX_PIPES - OTHER_DESCRIPTORS) / 2);
  // A socket per thread, as the others have: with one shared socket two threads accept slower than one.
  const shards = workers > 1 ? " shards by-thread" : "";
  const sections = routes.map(
    (route) => `
listen ${route.name}
  bind 127.0.0.1:${route.listenPort}${shards}
  balance roundrobin
  server target 127.0.0.1:${route.targetPort}
`,
  );
  return `global
  nbthread ${workers}
  maxconn ${Math.min(MAX_CONNECTIONS, affordable)}
  maxpipes ${MAX_PIPES}
defaults
  mode tcp
${splicing.map((option) => `  option ${option}\n`).join("")}  timeout connect 1m
  timeout client 1m
  timeout server 1m
${sections.join("")}`;
}
