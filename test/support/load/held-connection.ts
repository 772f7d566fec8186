/** A client of an echo service that keeps its connection open. */
import { waitFor } from "../time/wait-for.ts";

export class HeldConnection {
  readonly #received: string[] = [];
  isClosed = false;

  private constructor(readonly socket: Bun.Socket) {}

  static async open(port: number, hostname = "127.0.0.1"): Promise<HeldConnection> {
    let held: HeldConnection | null = null;
    const socket = await Bun.connect({
      hostname,
      port,
      socket: {
        data: (_, data) => void held!.#received.push(data.toString()),
        close: () => {
          held!.isClosed = true;
        },
      },
    });
    held = new HeldConnection(socket);
    return held;
  }

  async echoes(text: string): Promise<void> {
    this.socket.write(text);
    await waitFor(() => this.#received.join("").endsWith(text), { what: `the echo of ${text}` });
  }
}
