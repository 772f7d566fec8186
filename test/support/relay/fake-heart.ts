/** The heartbeat of a relay without the relay: its node seems well, whatever becomes of datagrams. */
import { KeyPair } from "../../../src/sys/key-pair.ts";
import {
  GREETING_BYTES,
  HELLO_BYTES,
  helloPublicKey,
  PairSecret,
  RELAY_CONNECTED,
  RELAY_SEALED,
  type RecordKeys,
  writeGreeting,
} from "../../../src/wire/index.ts";
import { GCM } from "../overlay/gcm.ts";
import { seal, unseal } from "./fake-relay.ts";
import { RELAY_KEY } from "./relay-node.ts";

/** One connection: what comes back for what comes. */
class Pulse {
  readonly greeting = new Uint8Array(GREETING_BYTES);
  readonly #pair = new KeyPair();
  #isBeating = false;
  #keys: RecordKeys | null = null;

  constructor(readonly exit: string) {
    writeGreeting(new Uint8Array(16), this.#pair.publicKey, this.greeting, 0);
  }

  reply(bytes: Uint8Array): Uint8Array {
    if (this.#isBeating) return this.#keys === null ? bytes : seal(this.#keys, unseal(this.#keys, bytes));
    this.#isBeating = true;
    if (bytes[0] !== RELAY_SEALED) return Uint8Array.of(RELAY_CONNECTED);
    const secret = new PairSecret(
      Uint8Array.fromHex(RELAY_KEY),
      this.#pair.agree(helloPublicKey(bytes, 0))!,
      GCM,
    );
    this.#keys = secret.keysFor("exit", this.exit, this.greeting, bytes.subarray(0, HELLO_BYTES));
    unseal(this.#keys, bytes.subarray(HELLO_BYTES));
    return seal(this.#keys, Uint8Array.of(RELAY_CONNECTED));
  }
}

export class FakeHeart {
  readonly #listener: Bun.TCPSocketListener<Pulse>;

  /** @param exit name of its node */
  constructor(address: string, port: number, exit = "exit") {
    this.#listener = Bun.listen<Pulse>({
      hostname: address,
      port,
      socket: {
        open(socket) {
          socket.data = new Pulse(exit);
          socket.write(socket.data.greeting);
        },
        data(socket, bytes) {
          socket.write(socket.data.reply(Uint8Array.from(bytes)));
        },
        error: (socket) => socket.terminate(),
      },
    });
  }

  stop(): void {
    this.#listener.stop(true);
  }
}
