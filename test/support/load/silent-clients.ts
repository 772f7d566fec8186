/**
 * TCP clients that connect and say nothing: `bun silent-clients.ts PORT COUNT` keeps COUNT connections open and opens
 * another for each that is closed, until its parent ends it.
 */
const [port, count] = process.argv.slice(2).map(Number) as [number, number];

function open(): void {
  void Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data: () => {}, close: again, connectError: () => {} },
  }).catch(again);
}

function again(): void {
  setTimeout(open, 50);
}

for (let i = 0; i < count; i++) {
  open();
  if (i % 64 === 63) await Bun.sleep(1);
}

export {};
