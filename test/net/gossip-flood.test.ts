/**
 * An insider who makes up members by the thousand: in one push/pull, in ten, as suspects, as the dead, by packets, with
 * ever new names. The admin socket answers within a second all the time, the log stays short, and the real members stay.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { createConnection } from "node:net";
import {
  type AliveMessage,
  encodeMessage,
  encodePushPull,
  encodeSerfMessage,
  encodeSerfState,
  framePacket,
  frameStream,
  Keyring,
  type RemoteState,
} from "../../src/wire/gossip/index.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { cpuSecondsOf, memoryBytesOf } from "../support/os/process-stats.ts";
import { waitFor } from "../support/time/wait-for.ts";

const MADE_UP = 20_000;
const MAX_MEMBERS = 12_000;
const ANSWER_MS = 3_000;
/** Of the start, and at most a hundred of each kind and their summaries. */
const MAX_LINES = 700;
const VERSIONS = Uint8Array.of(1, 5, 2, 2, 5, 5);

let cluster: MeshCluster | null = null;

afterEach(async () => {
  await cluster?.close();
  cluster = null;
});

class Insider {
  readonly #options;

  constructor(readonly node: MeshNode) {
    const keyring = Keyring.of([new Uint8Array(Buffer.from(cluster!.settings.keys[0]!, "base64"))]);
    this.#options = {
      keyring,
      nonce: () => crypto.getRandomValues(new Uint8Array(12)),
      withCrc: false,
    };
  }

  /** Resolves when the node has answered, or cut. */
  exchange(prefix: string, state: RemoteState): Promise<void> {
    const names = Array.from({ length: MADE_UP }, (_, i) => `${prefix}-${i}`);
    const members = names.map((name, i) => ({ ...madeUp(name, i), name, state }));
    const times = { ltime: 1, eventLTime: 1, queryLTime: 1 };
    const statusLTimes = new Map(names.map((name) => [name, 1]));
    const rest = { events: [], leftMembers: [], digest: new Uint8Array() };
    const userState = encodeSerfState({ ...times, ...rest, statusLTimes });
    return this.#stream(encodePushPull({ isJoin: false, members, userState }));
  }

  /** `count` packets of ten messages each, made when they are sent. */
  async packets(count: number, message: (i: number) => Uint8Array): Promise<void> {
    const socket = createSocket("udp4");
    for (let sent = 0; sent < count; sent++) {
      const messages = Array.from({ length: 10 }, (_, i) => message(sent * 10 + i));
      socket.send(framePacket(messages, this.#options), GOSSIP_PORT, this.node.address);
      if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await new Promise<void>((resolve) => socket.close(resolve));
  }

  #stream(message: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const socket = createConnection({ host: this.node.address, port: GOSSIP_PORT });
      socket.on("close", () => resolve());
      socket.on("error", () => resolve());
      socket.on("data", () => {});
      socket.write(frameStream(message, this.#options));
    });
  }
}

function madeUp(node: string, i: number): AliveMessage {
  const address = Uint8Array.of(127, 200, i >> 8, i & 255);
  const rest = { meta: new Uint8Array(), versions: VERSIONS };
  return { type: "alive", incarnation: 1, node, address, port: GOSSIP_PORT, ...rest };
}

/**
 * Asks for everything again and again; gives how long the slowest answer took. On a machine that is busy with others it
 * counts what the node has worked meanwhile.
 */
class AdminWatch {
  slowestMs = 0;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(node: MeshNode) {
    this.#done = this.#ask(node);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #ask(node: MeshNode): Promise<void> {
    while (!this.#isOver) {
      const startMs = performance.now();
      const startCpuSec = cpuSecondsOf(node.pid);
      const response = await fetch("http://portmesh/v1/nodes", { unix: node.socket });
      await response.arrayBuffer();
      const tookMs = performance.now() - startMs;
      const workedMs = (cpuSecondsOf(node.pid) - startCpuSec) * 1_000;
      this.slowestMs = Math.max(this.slowestMs, Math.min(tookMs, workedMs));
      await Bun.sleep(20);
    }
  }
}

async function size(node: MeshNode): Promise<number> {
  return (await node.status()).cluster.members.length;
}

describe("an insider makes up 20,000 members", () => {
  const attacks: [string, (insider: Insider, node: MeshNode) => Promise<unknown>][] = [
    [
      "in one push/pull",
      async (insider, node) => {
        await insider.exchange("a", "alive");
        await waitFor(async () => (await size(node)) === MAX_MEMBERS, { what: "the table to be full" });
      },
    ],
    [
      "in ten, then suspects all, then says that all are dead and have left",
      async (insider, node) => {
        await Promise.all(Array.from({ length: 10 }, (_, i) => insider.exchange(`a${i}`, "alive")));
        await waitFor(async () => (await size(node)) === MAX_MEMBERS, { what: "the table to be full" });
        const { members } = (await node.status()).cluster;
        const prefix = members.find(({ name }) => name.startsWith("a"))!.name.split("-")[0]!;
        for (const state of ["suspect", "left"] as const) {
          const isTaken = async () => {
            await insider.exchange(prefix, state);
            return (await node.status()).cluster.members.some((member) => member.state !== "alive");
          };
          await waitFor(isTaken, { what: `some to be ${state}`, deadlineMs: 60_000 });
        }
        await insider.exchange(prefix, "dead");
      },
    ],
    [
      "by packets, with ever new names, and intents about others",
      async (insider, node) => {
        await insider.packets(4_000, (i) => encodeMessage(madeUp(`p-${i}`, i)));
        const intent = (i: number) =>
          encodeSerfMessage({ type: "leave-intent", ltime: i + 2, node: `q-${i}`, prune: false });
        await insider.packets(2_000, (i) => encodeMessage({ type: "user", payload: intent(i) }));
        await waitFor(async () => (await size(node)) > 1_000, { what: "some to be taken in" });
      },
    ],
    [
      "of other versions, of two addresses each, and accusing this node under all of these names",
      async (insider) => {
        const versions = Uint8Array.of(1, 5, 2, 0, 0, 0);
        await insider.packets(1_000, (i) => encodeMessage({ ...madeUp(`v-${i}`, i), versions }));
        await insider.packets(1_000, (i) => encodeMessage(madeUp(`c-${i >> 1}`, i)));
        const accused = { type: "suspect", node: "n1" } as const;
        await insider.packets(1_000, (i) =>
          encodeMessage({ ...accused, incarnation: i + 1, from: `c-${i}` }),
        );
      },
    ],
  ];

  test.each(attacks)("%s", async (_what, attack) => {
    cluster = await MeshCluster.start({ label: "gossip-flood", places: loopbackPlaces(2) });
    const [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
    const before = memoryBytesOf(n1.pid);
    const watch = new AdminWatch(n1);
    await attack(new Insider(n1), n1).finally(() => watch.stop());
    const { slowestMs } = watch;
    expect(slowestMs).toBeLessThan(ANSWER_MS);
    expect(n1.log.split("\n").length).toBeLessThan(MAX_LINES);
    expect(memoryBytesOf(n1.pid) - before).toBeLessThan(256 * 2 ** 20);
    await cluster.waitFor(
      async () => {
        const { members } = (await n1.status()).cluster;
        return members.some(({ name, state }) => name === n2.name && state === "alive");
      },
      { what: "n1 to see n2 alive" },
    );
  });
});
