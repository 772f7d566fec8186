/** A TCP stream from one namespace to another by means of socat. */
import { expect } from "bun:test";
import type { NetworkNode } from "../network/network-node.ts";
import { findProgram } from "../os/require-program.ts";
import { waitFor } from "../time/wait-for.ts";

const PORT = 5201;
/** For what takes milliseconds on a machine that has nothing else to do. */

/** Bytes that no part of the way can guess. */
export function randomBytes(length: number): Buffer {
  return Buffer.alloc(length, crypto.getRandomValues(new Uint8Array(65_521)));
}

/** It has to arrive byte for byte. */
export async function sendStream(
  from: NetworkNode,
  to: NetworkNode,
  address: string,
  sent: Buffer,
): Promise<void> {
  const socat = findProgram("socat")!;
  const listen = `TCP-LISTEN:${PORT},bind=${address},reuseaddr`;
  const receiver = Bun.spawn([...to.wrapper, socat, "-u", listen, "-"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const received = receiver.stdout.bytes();
  try {
    const isListening = async () => (await to.run("ss", "-ltn")).includes(`${address}:${PORT}`);
    await waitFor(isListening, { what: "socat to listen" });
    const sender = Bun.spawn([...from.wrapper, socat, "-u", "-", `TCP:${address}:${PORT}`], {
      stdio: [sent, "ignore", "inherit"],
    });
    expect(await sender.exited).toBe(0);
    await waitFor(() => receiver.exitCode !== null, { what: "the stream to arrive" });
  } finally {
    receiver.kill("SIGKILL");
  }
  expect(sent.equals(await received)).toBe(true);
}
