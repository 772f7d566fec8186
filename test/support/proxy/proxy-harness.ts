/** The proxy itself, with its worker threads, in the process of the test: tables in, connections through it. */
import { SpliceProxy } from "../../../src/proxy/index.ts";
import { waitFor } from "../time/wait-for.ts";
import { type TestService, tableOf } from "./routing-table.ts";

export class ProxyHarness {
  private constructor(readonly proxy: SpliceProxy) {}

  static async start(workers = 1): Promise<ProxyHarness> {
    const ignore = () => {};
    return new ProxyHarness(await SpliceProxy.start({ workers, onListeners: ignore }));
  }

  /** Runs these services from now on; a port that cannot be bound is an error. */
  async apply(...services: TestService[]): Promise<void> {
    const prepared = this.proxy.prepare(tableOf(...services));
    const [failed] = prepared.bindErrors;
    if (failed !== undefined) {
      this.proxy.abandon(prepared);
      throw new Error(failed.error);
    }
    await this.proxy.commit(prepared);
  }

  /** Open TCP connections of all services. */
  get openConnections(): number {
    return this.proxy.status().services.reduce((sum, { tcp }) => sum + tcp.openConnections, 0);
  }

  /** TCP connections of all services so far. */
  get acceptedConnections(): number {
    return this.proxy.status().services.reduce((sum, { tcp }) => sum + tcp.acceptedTotal, 0);
  }

  /** @param accepted clients that must have come so far: one that has connected may still wait to be accepted */
  async allClosed(accepted = 0): Promise<void> {
    const haveCome = () => this.acceptedConnections >= accepted;
    await waitFor(haveCome, { what: `the proxy to accept ${accepted} connections` });
    await waitFor(() => this.openConnections === 0, { what: "the proxy's connections to end" });
  }

  stop(): Promise<void> {
    return this.proxy.stop();
  }
}
