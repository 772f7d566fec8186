/** The heartbeat of a relay without the relay: its node seems well, whatever becomes of datagrams. */
import { GREETING_BYTES, RELAY_CONNECTED, RELAY_VERSION } from "../../src/wire/index.ts";

export class FakeHeart {
  readonly #listener: Bun.TCPSocketListener<{ isBeating: boolean }>;

  constructor(address: string, port: number) {
    this.#listener = Bun.listen<{ isBeating: boolean }>({
      hostname: address,
      port,
      socket: {
        open(socket) {
          socket.data = { isBeating: false };
          const greeting = new Uint8Array(GREETING_BYTES);
          greeting[0] = RELAY_VERSION;
          socket.write(greeting);
        },
        data(socket, bytes) {
          socket.write(socket.data.isBeating ? bytes : Uint8Array.of(RELAY_CONNECTED));
          socket.data.isBeating = true;
        },
        error: (socket) => socket.terminate(),
      },
    });
  }

  stop(): void {
    this.#listener.stop(true);
  }
}
