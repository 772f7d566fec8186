/**
 * portmesh: a node on each machine, of one cluster with a key. Clients come to the left one, tasks are at the right one.
 *
 *   client ─> left, published ports ── relay, over the driver ──> right ─> task on 127.0.0.1
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "../../bench.ts";
import { DeadlineError, waitFor } from "../../process.ts";
import { portmesh, portmeshBinary } from "../../proxies/portmesh.ts";
import type { End, Link } from "../link.ts";
import {
  type Contestant,
  NotAvailableError,
  type RunningContestant,
  TASK_PORTS,
  waitForTunnel,
} from "./contestant.ts";
import { type ProcessPair, startPair } from "./processes.ts";

type Driver = "kernel" | "userspace" | "none";

const GOSSIP_PORT = 7946;
/** Published on the left: the task's port and this. */
const PUBLISHED_OFFSET = 1000;
const READY_DEADLINE_MS = 20_000;

/** Of `portmesh status --json`, what counts here. */
interface Status {
  readonly overlay?: OverlayStatus;
  readonly cluster?: { readonly overlay?: OverlayStatus };
  readonly proxy?: {
    readonly services: readonly { readonly tasks: readonly { readonly state: string }[] }[];
  };
}

interface OverlayStatus {
  readonly driver: Driver;
  readonly encrypt: boolean;
  readonly peers: readonly {
    readonly address: string | null;
    readonly path: "overlay" | "direct";
    readonly encryption: "frames" | "relay" | "none";
  }[];
}

export function portmeshContestant(driver: Driver, encrypt: boolean): Contestant {
  const name = `portmesh-${driver}${encrypt ? "-sealed" : ""}` as const;
  return {
    name,
    isEncrypted: encrypt,
    unavailable: portmesh.unavailable,
    async start(bench, link) {
      const directory = bench.path(name);
      mkdirSync(directory);
      const pair = startNodes(bench, link, { name, driver, encrypt, directory });
      try {
        const address = await ready(pair, driver, encrypt, directory);
        const isRelaysOnly = driver === "kernel" && encrypt; // its device takes nothing else, pings neither
        if (address !== null && !isRelaysOnly) await waitForTunnel(link, address, pair.failure);
        return running(link, pair, address);
      } catch (error) {
        await pair.stop();
        throw error;
      }
    },
  };
}

interface NodeSettings {
  readonly name: string;
  readonly driver: Driver;
  readonly encrypt: boolean;
  readonly directory: string;
}

function startNodes(bench: Bench, link: Link, settings: NodeSettings): ProcessPair {
  const key = randomBytes(32).toString("base64");
  return startPair(bench, link, settings.name, (end) => {
    const file = join(settings.directory, `${end.side}.toml`);
    writeFileSync(file, configuration(link, end, settings, key));
    return [portmeshBinary, "run", "-c", file];
  });
}

/**
 * Waits until the left node knows the tasks of the right one and goes to it as it should; gives the right one's overlay
 * address, null for a driver without one. A node that ends, or runs another driver, says that this one is not there.
 */
async function ready(
  pair: ProcessPair,
  driver: Driver,
  encrypt: boolean,
  directory: string,
): Promise<string | null> {
  let status: Status | null = null;
  const isReady = async () => {
    const reason = pair.failure();
    if (reason !== undefined) throw new NotAvailableError(reason.split("\n", 1)[0]);
    status = await statusOf(directory);
    return status !== null && knowsTasks(status) && isReached(status, driver, encrypt);
  };
  try {
    await waitFor(`start of portmesh with driver ${driver}`, READY_DEADLINE_MS, isReady);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    throw new Error(`${error.message}; its overlay: ${JSON.stringify(status && overlayOf(status))}`, {
      cause: error,
    });
  }
  return driver === "none" ? null : overlayOf(status!)!.peers[0]!.address;
}

function knowsTasks({ proxy }: Status): boolean {
  const served = proxy?.services.filter(({ tasks }) => tasks.some(({ state }) => state === "active")) ?? [];
  return served.length === Object.keys(TASK_PORTS).length;
}

function isReached(status: Status, driver: Driver, encrypt: boolean): boolean {
  const overlay = overlayOf(status);
  if (overlay === undefined) throw new NotAvailableError("this portmesh has no overlay");
  if (overlay.driver !== driver) throw new NotAvailableError(`it runs the driver ${overlay.driver} instead`);
  const peer = overlay.peers[0];
  if (peer === undefined || (peer.encryption === "none") === encrypt) return false;
  return driver === "none" ? peer.path === "direct" : peer.path === "overlay" && peer.address !== null;
}

function overlayOf(status: Status): OverlayStatus | undefined {
  return status.overlay ?? status.cluster?.overlay;
}

async function statusOf(directory: string): Promise<Status | null> {
  return fetch("http://portmesh/v1/status", { unix: socketPath(directory, "left") }).then(
    (response) => response.json() as Promise<Status>,
    () => null,
  );
}

function running(link: Link, pair: ProcessPair, address: string | null): RunningContestant {
  return {
    ...pair,
    tunnel: (port) => (address === null ? null : { address, port }),
    published: (port) => ({ address: link.left.address, port: port + PUBLISHED_OFFSET }),
  };
}

function configuration(link: Link, end: End, settings: NodeSettings, key: string): string {
  const { driver, encrypt, directory } = settings;
  const seeds = link.ends.map(({ address }) => `"${address}:${GOSSIP_PORT}"`);
  return `[node]
name = "${end.side}"
advertise = "${end.address}"
data_dir = "${directory}/${end.side}-data"
[cluster]
name = "bench"
keys = ["${key}"]
join = [${seeds.join(", ")}]
bind = "${end.address}:${GOSSIP_PORT}"
[overlay]
driver = "${driver}"
encrypt = ${encrypt}
[proxy]
workers = 1
bind = ["${end.address}"]
[admin]
socket = "${socketPath(directory, end.side)}"
[log]
level = "warn"
${Object.entries(TASK_PORTS)
  .map(([name, port]) => service(name, port, end))
  .join("")}`;
}

function service(name: string, port: number, { side }: End): string {
  return `[[services]]
name = "${name}"
publish = ["${port + PUBLISHED_OFFSET}:${port}"]
tasks = [${side === "right" ? '"127.0.0.1"' : ""}]
`;
}

function socketPath(directory: string, side: End["side"]): string {
  return join(directory, `${side}.sock`);
}
