/**
 * A UDP service over nodes that relay to each other, with real sockets on loopback. Its tasks answer with what they were
 * sent.
 *
 *   clients ──▶ entry node, published port ──▶ relay port of an exit node ──▶ its tasks
 *                    127.0.0.1                    127.0.0.2, 127.0.0.3
 */
import { expect } from "bun:test";
import { type Received, UdpPeer } from "../load/udp-peer.ts";
import { freeQuietPort } from "../os/free-port.ts";
import type { TestService, TestTask } from "../proxy/routing-table.ts";
import { waitFor } from "../time/wait-for.ts";
import { FakeHeart } from "./fake-heart.ts";
import { RelayNode, type RelayNodeOptions } from "./relay-node.ts";

const ASK_AGAIN_MS = 1_000;

/** The task as its own node knows it. */
export function here({ port }: { port: number }, overrides: Partial<TestTask & object> = {}): TestTask {
  return { name: `task-${port}`, port, ...overrides };
}

/** And as another does: its address is a name that means nothing here. */
export function on(exit: string, { port }: { port: number }): TestTask {
  return { name: `task-${port}`, node: exit, distance: "far", address: "task.internal", port };
}

export function udp(overrides: Partial<TestService["udp"] & object>) {
  return {
    udp: {
      mode: "session" as const,
      idleTimeoutMs: 90_000,
      maxSessions: 65_536,
      responses: 0,
      ...overrides,
    },
  };
}

/** One service, published at one node. */
export class UdpMesh {
  readonly published: number;

  constructor(
    readonly entry: RelayNode,
    published: number,
    readonly rules: Partial<TestService> = {},
  ) {
    this.published = published;
  }

  /** The service with these tasks at the entry node. */
  route(exits: readonly RelayNode[], tasks: readonly TestTask[]): Promise<void> {
    return this.entry.apply(
      exits.map(({ peer }) => peer),
      this.#service(tasks),
    );
  }

  /** And at an exit node, which does not publish it to these clients. */
  serve(exit: RelayNode, tasks: readonly TestTask[]): Promise<void> {
    return exit.apply([], { ...this.#service(tasks), listenAddresses: [] });
  }

  async answer(peer: UdpPeer, data = "x"): Promise<string> {
    return (await peer.ask(data, this.published)).data.toString();
  }

  /** A session that ends while this process stands still loses its answer: asks again. */
  async answersInTheEnd(peer: UdpPeer): Promise<void> {
    let askedMs = Number.NEGATIVE_INFINITY;
    const isAnswered = () => {
      if (performance.now() - askedMs > ASK_AGAIN_MS) {
        peer.send("x", this.published);
        askedMs = performance.now();
      }
      return peer.texts.includes("x");
    };
    await waitFor(isAnswered, { what: "an answer" });
  }

  #service(tasks: readonly TestTask[]): TestService {
    return { protocol: "udp", published: this.published, ...this.rules, tasks };
  }
}

/** Passes datagrams between an entry node and the relay of an exit node, and remembers them. */
class Middleman {
  readonly toExit: Uint8Array[] = [];
  readonly toEntry: Uint8Array[] = [];
  /** What it does not pass on. */
  isLost: (data: Uint8Array) => boolean = () => false;
  #entry: { address: string; port: number } | null = null;

  constructor(
    readonly outside: UdpPeer,
    readonly inside: UdpPeer,
    readonly exit: RelayNode,
    readonly isSealed: boolean,
  ) {
    outside.onDatagram = (received) => this.#onEntry(received);
    inside.onDatagram = ({ data }) => this.#onExit(data);
  }

  get peer() {
    const { port } = this.outside;
    return { name: this.exit.name, address: "127.0.0.4", port, udpPort: port, isSealed: this.isSealed };
  }

  sendToExit(data: Uint8Array): void {
    this.inside.send(data, this.exit.peer.port, this.exit.peer.address);
  }

  sendToEntry(data: Uint8Array): void {
    this.outside.send(data, this.#entry!.port, this.#entry!.address);
  }

  #onEntry({ data, from }: Received): void {
    this.#entry = from;
    if (this.isLost(data)) return;
    this.toExit.push(data);
    this.sendToExit(data);
  }

  #onExit(data: Uint8Array): void {
    if (this.isLost(data)) return;
    this.toEntry.push(data);
    this.sendToEntry(data);
  }
}

/** What the nodes, clients and tasks of a test are opened with; all are closed with it. */
export function openUdpRelays(isSealed: boolean) {
  const opened = new AsyncDisposableStack();

  async function node(name: string, options: RelayNodeOptions = {}): Promise<RelayNode> {
    const started = await RelayNode.start(name, { isSealed, ...options });
    return opened.adopt(started, (open) => open.stop());
  }

  async function client(address?: string): Promise<UdpPeer> {
    const peer = await UdpPeer.open(address);
    return opened.adopt(peer, (open) => open.close());
  }

  /** A task that answers with its name and what it was sent. */
  async function task(name = ""): Promise<UdpPeer> {
    const peer = await UdpPeer.task((data) => Buffer.concat([Buffer.from(name), data]));
    return opened.adopt(peer, (open) => open.close());
  }

  /** A service published at an entry node. */
  async function start(rules: Partial<TestService> = {}, options: RelayNodeOptions = {}): Promise<UdpMesh> {
    return new UdpMesh(await node("entry", options), await freeQuietPort(), rules);
  }

  /** What listens there for datagrams, or does not, seems to be a node that is well. */
  function heart(address: string, port: number): void {
    const fake = new FakeHeart(address, port);
    opened.defer(() => fake.stop());
  }

  /** An entry node whose only task runs on an exit node. */
  async function pair(
    rules: Partial<TestService> = {},
    options: RelayNodeOptions = {},
  ): Promise<{ mesh: UdpMesh; exit: RelayNode; echo: UdpPeer }> {
    const mesh = await start(rules, options);
    const exit = await node("exit", { address: "127.0.0.2", ...options });
    const echo = await task();
    await mesh.serve(exit, [here(echo)]);
    await mesh.route([exit], [on("exit", echo)]);
    return { mesh, exit, echo };
  }

  /** The first task is at the exit node; its session's client; another task at the entry node. */
  async function moving(rules: Partial<TestService> = {}) {
    const { mesh, exit, echo } = await pair(rules);
    const peer = await client();
    expect(await mesh.answer(peer)).toBe("x");
    const own = await task("own ");
    await mesh.route([exit], [on("exit", echo), here(own)]);
    expect(await mesh.answer(peer)).toBe("x");
    return { mesh, exit, echo, peer, own };
  }

  async function watched(): Promise<{ mesh: UdpMesh; exit: RelayNode; echo: UdpPeer; between: Middleman }> {
    const { mesh, exit, echo } = await pair();
    const between = new Middleman(await client("127.0.0.4"), await client("127.0.0.4"), exit, isSealed);
    heart(between.peer.address, between.peer.port);
    await mesh.entry.apply([between.peer], {
      protocol: "udp",
      published: mesh.published,
      tasks: [on("exit", echo)],
    });
    return { mesh, exit, echo, between };
  }

  return {
    node,
    client,
    task,
    start,
    heart,
    pair,
    moving,
    watched,
    defer: (close: () => void) => opened.defer(close),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
