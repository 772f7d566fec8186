/**
 * A TCP service over nodes that relay to each other, with plain sockets as its clients and tasks. Everything that is
 * opened through it is closed by `stop`.
 */
import type { ServiceStatus } from "../../../src/proxy/index.ts";
import { freeQuietPort } from "../os/free-port.ts";
import { RawListener, RawSocket } from "../os/raw-socket.ts";
import type { TestService, TestTask } from "../proxy/routing-table.ts";
import { waitFor } from "../time/wait-for.ts";
import { RelayNode, type RelayNodeOptions } from "./relay-node.ts";

export type Rules = Partial<Omit<TestService, "tasks">>;
type Settings = Exclude<TestTask, number>;

/** Both ends of a connection. */
export interface Ends {
  readonly client: RawSocket;
  readonly task: RawSocket;
}

/** The task as its own node knows it. */
export function here({ port }: { port: number }, settings: Settings = {}): TestTask {
  return { name: `task-${port}`, port, ...settings };
}

/** And as another does: its address is a name that means nothing here. */
export function on(node: string, { port }: { port: number }, settings: Settings = {}): TestTask {
  return { name: `task-${port}`, node, distance: "far", address: "task.internal", port, ...settings };
}

export class RelayMesh {
  readonly #cleanUps: (() => unknown)[] = [];

  private constructor(readonly published: number) {}

  static async start(): Promise<RelayMesh> {
    return new RelayMesh(await freeQuietPort());
  }

  keep<T>(thing: T, cleanUp: (thing: T) => unknown): T {
    this.#cleanUps.push(() => cleanUp(thing));
    return thing;
  }

  async node(name: string, options: RelayNodeOptions = {}): Promise<RelayNode> {
    const port = options.port ?? (await this.#freePort(options.address));
    return this.keep(await RelayNode.start(name, { ...options, port }), (node) => node.stop());
  }

  task(): RawListener {
    return this.keep(RawListener.open(), (listener) => listener.close());
  }

  async accept(task: RawListener): Promise<RawSocket> {
    return this.keep(await task.accept(), (socket) => socket.close());
  }

  /** A client of the published port. */
  connect(): Promise<RawSocket> {
    return this.connectTo(this.published);
  }

  async connectTo(port: number, to?: string): Promise<RawSocket> {
    const options = to === undefined ? {} : { to };
    return this.keep(await RawSocket.connect(port, options), (socket) => socket.close());
  }

  async open(task: RawListener): Promise<Ends> {
    const client = await this.connect();
    return { client, task: await this.accept(task) };
  }

  /** The service with these tasks at a node that publishes it. */
  route(
    entry: RelayNode,
    exits: readonly Pick<RelayNode, "peer">[],
    tasks: readonly TestTask[],
    rules: Rules = {},
  ): Promise<void> {
    return entry.apply(
      exits.map(({ peer }) => peer),
      this.service(tasks, rules),
    );
  }

  /** And at an exit node, which does not publish it to these clients. */
  serve(exit: RelayNode, tasks: readonly TestTask[], rules: Rules = {}): Promise<void> {
    return exit.apply([], { ...this.service(tasks, rules), listenAddresses: [] });
  }

  service(tasks: readonly TestTask[], rules: Rules = {}): TestService {
    return { protocol: "tcp", published: this.published, ...rules, tasks };
  }

  /** The published port is not in use yet, but taken. */
  async #freePort(address?: string): Promise<number> {
    const port = await freeQuietPort(address);
    return port === this.published ? freeQuietPort(address) : port;
  }

  async stop(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** An entry node whose only task runs on an exit node. */
export interface RelayPair extends AsyncDisposable {
  readonly mesh: RelayMesh;
  readonly entry: RelayNode;
  readonly exit: RelayNode;
  readonly task: RawListener;
  open(): Promise<Ends>;
}

export async function startPair(rules: Rules = {}, options: RelayNodeOptions = {}): Promise<RelayPair> {
  const mesh = await RelayMesh.start();
  const entry = await mesh.node("entry", options);
  const exit = await mesh.node("exit", { address: "127.0.0.2", ...options });
  const task = mesh.task();
  await mesh.serve(exit, [here(task)], rules);
  await mesh.route(entry, [exit], [on("exit", task)], rules);
  const end = () => mesh.stop();
  return { mesh, entry, exit, task, open: () => mesh.open(task), [Symbol.asyncDispose]: end };
}

/** Waits until no connection is open at these nodes. */
export async function allClosed(...nodes: readonly RelayNode[]): Promise<void> {
  const isIdle = ({ tcp, tasks }: ServiceStatus) =>
    tcp.openConnections + tcp.relayedOpen + tasks.reduce((sum, task) => sum + task.openConnections, 0) === 0;
  await waitFor(() => nodes.every(({ status }) => isIdle(status)), { what: "all connections to end" });
}
