/** From executing the proxy to the first byte echoed through it. */
import type { Socket, TCPSocketListener } from "bun";
import type { Bench } from "../bench.ts";
import { startProcesses } from "../proxies/proxy.ts";
import type { Measurement, SubjectName, Workload } from "../workload.ts";
import { freshProxy, openFresh } from "./fresh-proxy.ts";

const DEADLINE_MS = 10_000;
/** A connection that was accepted but not answered counts as failed after this long. */
const ATTEMPT_MS = 500;
const RETRY_MS = 1;

export const startUp: Workload = {
  name: "start-up",
  title: "Start to serving",
  metrics: [{ key: "ms", label: "ms to the first echoed byte", better: "less", digits: 1, isCompared: true }],
  subjects: ["haproxy", "nginx", "portmesh"],
  tools: [],
  minRounds: 9,
  open: openStartUp,
};

async function openStartUp(bench: Bench, _subjects: readonly SubjectName[], workers: number) {
  const echo = Bun.listen({
    hostname: "127.0.0.1",
    port: bench.ports.take(),
    socket: { data: (socket, bytes) => void socket.write(bytes) },
  });
  return openFresh(
    (subject) => measureStartUp(bench, subject, workers, echo),
    async () => echo.stop(true),
  );
}

async function measureStartUp(
  bench: Bench,
  subject: SubjectName,
  workers: number,
  echo: TCPSocketListener,
): Promise<Measurement> {
  const { program, setup, port } = freshProxy(bench, subject, workers, echo.port);
  const { commands } = program.prepare(setup);
  const startMs = performance.now();
  const proxy = startProcesses(bench, subject, commands);
  try {
    while (!(await echoes(port))) {
      if (proxy.hasExited) throw new Error(`the proxy ended: ${proxy.complaint()}`);
      if (performance.now() - startMs > DEADLINE_MS)
        throw new Error(`nothing was echoed within ${DEADLINE_MS} ms`);
      await Bun.sleep(RETRY_MS);
    }
    return { sample: { ms: performance.now() - startMs }, failures: [] };
  } finally {
    await proxy.stop();
  }
}

/** One attempt: connect, send a byte, wait for it to come back. */
function echoes(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const settle = (socket: Socket | undefined, isEchoed: boolean) => {
    clearTimeout(timer);
    resolve(isEchoed);
    socket?.terminate();
  };
  const timer = setTimeout(() => settle(undefined, false), ATTEMPT_MS);
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write("x"),
      data: (socket) => settle(socket, true),
      close: (socket) => settle(socket, false),
      connectError: (socket) => settle(socket, false),
    },
  }).catch(() => settle(undefined, false));
  return promise;
}
