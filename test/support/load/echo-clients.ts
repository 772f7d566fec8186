/**
 * Many TCP clients, or the echo task behind them, in a process of its own: the descriptors of clients, proxy and task
 * together are more than one process may open.
 *
 *   bun echo-clients.ts task PORT             echoes
 *   bun echo-clients.ts clients PORT COUNT    opens COUNT connections, has one byte echoed on each, keeps them
 *
 * Both report `{ echoed }` or `{ isListening }` to the parent; clients end when it disconnects.
 */
const BATCH = 64;

const [role, port, count] = process.argv.slice(2);
const address = { hostname: "127.0.0.1", port: Number(port) };

if (role === "task") runTask();
else await runClients(Number(count));

function runTask(): void {
  Bun.listen({ ...address, socket: { data: (socket, bytes) => void socket.write(bytes) } });
  process.send?.({ isListening: true });
}

async function runClients(wanted: number): Promise<void> {
  let echoed = 0;
  let failed = 0;
  const report = () => process.send?.({ echoed, failed });
  for (let started = 0; started < wanted; started += BATCH) {
    const size = Math.min(BATCH, wanted - started);
    await Promise.all(Array.from({ length: size }, () => openOne()));
    report();
  }

  function openOne(): Promise<void> {
    return new Promise((resolve) => {
      let isAnswered = false;
      const finish = () => {
        if (!isAnswered) failed++;
        resolve();
      };
      const onData = () => {
        isAnswered = true;
        echoed++;
        resolve();
      };
      void Bun.connect({
        ...address,
        socket: {
          open: (socket) => void socket.write("x"),
          data: onData,
          close: finish,
          connectError: finish,
        },
      }).catch(finish);
    });
  }
}

export {};
