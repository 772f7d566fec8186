/** Opens connections, keeps them and tells its parent how many are open. Arguments: the port, how many. */
const BATCH = 64;

const port = Number(process.argv[2]);
const wanted = Number(process.argv[3]);
let openCount = 0;

const handlers = {
  open: () => void openCount++,
  close: () => void openCount--,
  data: () => {},
};

for (let started = 0; started < wanted; started += BATCH) {
  const size = Math.min(BATCH, wanted - started);
  await Promise.all(
    Array.from({ length: size }, () => Bun.connect({ hostname: "127.0.0.1", port, socket: handlers })),
  );
  process.send?.({ open: openCount });
}

export {};
