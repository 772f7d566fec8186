/**
 * The tests' own clients and tasks connected to each other, without a proxy between: what TCP itself does. A test that
 * fails through the proxy while these pass has found the proxy.
 */
import { afterEach, expect, test } from "bun:test";
import { Pattern } from "../support/load/pattern.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";

const MIB = 1024 * 1024;
const cleanUps: (() => void)[] = [];

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

async function open(): Promise<{ client: RawSocket; task: RawSocket }> {
  const listener = RawListener.open();
  const client = await RawSocket.connect(listener.port);
  const task = await listener.accept();
  cleanUps.push(() => [listener, client, task].forEach((end) => end.close()));
  return { client, task };
}

test("FIN leaves the other direction open", async () => {
  const { client, task } = await open();
  client.finish();
  expect(await task.receiveRest()).toBe("");
  const answer = new Pattern(0);
  const sending = answer.send(task, 10 * MIB).then(() => task.finish());
  expect(await answer.receiveToEnd(client)).toEqual({ bytes: 10 * MIB, how: "end" });
  await sending;
});

test("RST is reported as RST, after the bytes before it", async () => {
  const { client, task } = await open();
  const pattern = new Pattern(1);
  await pattern.send(client, 5000);
  client.reset();
  expect(await pattern.receiveToEnd(task)).toEqual({ bytes: 5000, how: "ECONNRESET" });
});

test("RST behind FIN is a clean end for a reader, an error for a writer", async () => {
  const { client, task } = await open();
  await client.send("all");
  client.finish();
  client.reset();
  expect(await task.failure()).toBe("EPIPE");
  expect(await task.receiveRest()).toBe("all");
});

test("RST that a write has returned is not returned by a read: it reads 0", async () => {
  const { client, task } = await open();
  client.reset();
  await expect(task.send("x")).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(await task.receiveRest()).toBe("");
});

test("closing with unread bytes resets, closing with none does not", async () => {
  const unread = await open();
  await unread.client.send("nobody reads this");
  await unread.task.becomesReadable(1000);
  unread.task.close();
  expect(await unread.client.failure()).toBe("ECONNRESET");
  const read = await open();
  read.task.close();
  expect(await read.client.receiveRest()).toBe("");
});

test("a sender stalls while its peer does not read, and loses nothing", async () => {
  const { client, task } = await open();
  const pattern = new Pattern(2);
  await pattern.sendUntilStalled(client, 100);
  client.finish();
  expect(await pattern.receiveToEnd(task)).toEqual({ bytes: pattern.sentBytes, how: "end" });
});
