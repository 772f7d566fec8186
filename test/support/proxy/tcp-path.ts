/** Client, proxy and task: a published port with one task behind it, and every socket that a test opens on either side. */
import { freePort } from "../os/free-port.ts";
import { type BufferOptions, RawListener, RawSocket } from "../os/raw-socket.ts";
import { ProxyHarness } from "./proxy-harness.ts";

export class TcpPath implements AsyncDisposable {
  readonly #sockets: RawSocket[] = [];
  #clients = 0;

  private constructor(
    readonly harness: ProxyHarness,
    readonly listener: RawListener,
    readonly published: number,
  ) {}

  static async start(workers = 1, buffers: BufferOptions = {}): Promise<TcpPath> {
    const harness = await ProxyHarness.start(workers);
    const listener = RawListener.open(buffers);
    const published = await freePort();
    await harness.apply({ protocol: "tcp", published, tasks: [listener.port] });
    return new TcpPath(harness, listener, published);
  }

  async connect(buffers: BufferOptions = {}): Promise<RawSocket> {
    const client = this.#keep(await RawSocket.connect(this.published, buffers));
    this.#clients++;
    return client;
  }

  async accept(): Promise<RawSocket> {
    return this.#keep(await this.listener.accept());
  }

  /** Both ends of a new connection through the proxy. */
  async open(buffers: BufferOptions = {}): Promise<{ client: RawSocket; task: RawSocket }> {
    const client = await this.connect(buffers);
    return { client, task: await this.accept() };
  }

  /** Closes what the test has left open and waits until the proxy has, too. */
  async closeAll(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.close();
    await this.allEnded();
  }

  /** Waits until no client is left in the proxy, nor on its way there. */
  allEnded(): Promise<void> {
    return this.harness.allClosed(this.#clients);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.close();
    this.listener.close();
    await this.harness.stop();
  }

  /** Its sockets first: a connection that the proxy never closes fails the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.closeAll();
    } finally {
      await this.stop();
    }
  }

  #keep(socket: RawSocket): RawSocket {
    this.#sockets.push(socket);
    return socket;
  }
}
