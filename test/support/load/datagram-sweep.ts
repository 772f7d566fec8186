/**
 * Datagrams of every size there and back, for network namespaces: `echo ADDRESS PORT` answers, `sweep ADDRESS PORT FROM
 * TO` sends and ends with 0 once every size has come back byte for byte.
 */
const [mode, address, portText, fromText, toText] = process.argv.slice(2) as string[];
const port = Number(portText);
/** Sizes on their way at once. */
const WINDOW = 16;
const RESEND_MS = 500;
const DEADLINE_MS = 60_000;

function datagramOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + size * 7) & 0xff);
}

async function echo(): Promise<void> {
  await Bun.udpSocket({
    hostname: address!,
    port,
    socket: {
      data(socket, bytes, fromPort, fromAddress) {
        socket.send(bytes, fromPort, fromAddress);
      },
    },
  });
  process.stdout.write("ready\n");
}

async function sweep(from: number, to: number): Promise<void> {
  const missing = new Set(Array.from({ length: to - from + 1 }, (_, index) => from + index));
  const socket = await Bun.udpSocket({
    socket: {
      data(_, bytes) {
        if (!Buffer.from(bytes).equals(datagramOf(bytes.length)))
          throw new Error(`${bytes.length} bytes differ`);
        missing.delete(bytes.length);
        if (missing.size === 0) process.exit(0);
        fill();
      },
    },
  });
  const sentAt = new Map<number, number>();
  const fill = () => {
    const now = performance.now();
    for (const size of [...missing].slice(0, WINDOW)) {
      if (now - (sentAt.get(size) ?? Number.NEGATIVE_INFINITY) < RESEND_MS) continue;
      sentAt.set(size, now);
      socket.send(datagramOf(size), port, address!);
    }
  };
  fill();
  setInterval(fill, RESEND_MS);
  setTimeout(() => {
    process.stderr.write(`missing: ${[...missing].slice(0, 20).join(" ")}\n`);
    process.exit(1);
  }, DEADLINE_MS);
}

if (mode === "echo") await echo();
else await sweep(Number(fromText), Number(toText));

export {};
