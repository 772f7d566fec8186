/** A task in the test process, TCP and UDP, and clients that wait until a node forwards to it. */
import { request } from "../load/http-load.ts";
import { UdpPeer } from "../load/udp-peer.ts";
import { waitFor } from "../time/wait-for.ts";

const ANSWER = "the task";
/** Of a container that starts on a busy machine. */
const DEADLINE_MS = 60_000;

export interface FarTask {
  /** "10.99.7.254:40000" */
  readonly tcp: string;
  readonly udp: string;
  stop(): Promise<void>;
}

export async function startFarTask(address: string): Promise<FarTask> {
  const fetch = () => new Response(ANSWER, { headers: { connection: "close" } });
  const tcp = Bun.serve({ hostname: address, port: 0, fetch });
  const udp = await UdpPeer.task(undefined, address);
  return {
    tcp: `${address}:${tcp.port}`,
    udp: `${address}:${udp.port}`,
    async stop() {
      udp.close();
      await tcp.stop(true);
    },
  };
}

/** Two services at one port, TCP and UDP. @param task null: of another node */
export function servicesAt(port: number, task: FarTask | null): string {
  const tasks = (address: string | undefined) => (address === undefined ? "[]" : `["${address}"]`);
  return `[[services]]
name = "web"
publish = ["${port}:80"]
tasks = ${tasks(task?.tcp)}
[[services]]
name = "echo"
publish = ["${port}:80/udp"]
tasks = ${tasks(task?.udp)}
`;
}

export async function waitForTcp(address: string, port: number): Promise<void> {
  const isServed = async () => (await request(address, port)).body === ANSWER;
  await waitFor(isServed, { what: `TCP from ${address}:${port}`, deadlineMs: DEADLINE_MS });
}

export async function waitForUdp(address: string, port: number): Promise<void> {
  const client = await UdpPeer.open("0.0.0.0");
  const isEchoed = async () => {
    client.send("ping", port, address);
    return waitFor(() => client.texts.includes("ping"), { deadlineMs: 1_000 }).catch(() => false);
  };
  try {
    await waitFor(isEchoed, { what: `UDP from ${address}:${port}`, deadlineMs: DEADLINE_MS });
  } finally {
    client.close();
  }
}
