/**
 * Accepts connections, does nothing with them and tells its parent how many are open. A process of its own,
 * because the descriptors of clients, proxy and server together are more than one process may open. Argument: the port.
 */
const REPORT_INTERVAL_MS = 20;

let openCount = 0;
let reported = -1;

Bun.listen({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    open: () => void openCount++,
    close: () => void openCount--,
    data: () => {},
  },
});

setInterval(() => {
  if (openCount === reported) return;
  reported = openCount;
  process.send?.({ open: reported });
}, REPORT_INTERVAL_MS);

export {};
