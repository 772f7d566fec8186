/** A successor in the test process, which takes over from a running node as far as the test wants. */
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { Channel } from "../../../src/node/handover/channel.ts";
import { type Identity, identityOf } from "../../../src/node/handover/identity.ts";
import { LAYOUT } from "../../../src/node/handover/messages.ts";
import { Takeover } from "../../../src/node/handover/takeover.ts";
import { steadyClock } from "../../../src/sys/clock.ts";
import { fileId } from "../../../src/sys/file-id.ts";
import { connectSeqpacket } from "../../../src/sys/seqpacket.ts";

/** The node to take over from. */
export interface Running {
  readonly directory: string;
  readonly socket: string;
  /** node.name; absent: that of the machine. */
  readonly name?: string;
  /** Absent: "data" in the directory. */
  readonly dataDir?: string;
  /** A process in its network; absent: the test's. */
  readonly networkOf?: number;
}

type NodeConfig = Parameters<typeof identityOf>[0]["node"];

/** Where it hands over now. */
export async function openHandover({ socket, dataDir }: Running): Promise<string> {
  const answer = await fetch("http://portmesh/v1/handover", { unix: socket, method: "POST" });
  const body = (await answer.json()) as { socket?: string; error?: string };
  if (body.socket === undefined) throw new Error(body.error);
  return join(dataDir ?? dirname(body.socket), basename(body.socket));
}

function identityFor({ directory, name = hostname(), dataDir, networkOf = process.pid }: Running): Identity {
  const node = { name, dataDir: dataDir ?? join(directory, "data") } as NodeConfig;
  return { ...identityOf({ node }), networkId: fileId(`/proc/${networkOf}/ns/net`) };
}

/** Up to its sockets. */
export async function takeOverFrom(running: Running): Promise<Takeover> {
  return await Takeover.connect({
    socket: await openHandover(running),
    adminSocket: running.socket,
    identity: identityFor(running),
    version: "test",
    clock: steadyClock,
  });
}

/** A connection on which it has introduced itself. */
export async function sayHello(running: Running, layout = LAYOUT): Promise<Channel> {
  const channel = new Channel(connectSeqpacket(await openHandover(running)), steadyClock);
  const identity = identityFor(running);
  await channel.send({ type: "hello", layout, version: "test", pid: process.pid, identity });
  return channel;
}
