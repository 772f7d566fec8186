/**
 * A flow alone, between sockets whose buffers are so small that what it holds leaves in many parts: in the proxy the
 * kernel's own buffers are larger than all that a flow can hold.
 */
import { afterEach, expect, test } from "bun:test";
import {
  createFlowResources,
  FLOW_EMPTY,
  FLOW_ENDED,
  FLOW_FULL,
  type Flow,
  PipePool,
  PlainFlow,
} from "../../src/proxy/tcp/flow/index.ts";
import { Pattern } from "../support/pattern.ts";
import { type BufferOptions, RawListener, RawSocket } from "../support/raw-socket.ts";

const TINY_BYTES = 2048;
const PIECE_BYTES = 700;

const cleanUps: (() => void)[] = [];

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

async function openPair(buffers: BufferOptions = {}): Promise<readonly [RawSocket, RawSocket]> {
  const listener = RawListener.open(buffers);
  const near = await RawSocket.connect(listener.port, buffers);
  const far = await listener.accept();
  cleanUps.push(() => [listener, near, far].forEach((socket) => socket.close()));
  return [near, far];
}

/** sender -> source -> flow -> destination -> reader */
async function openFlow(maxPipes = 4): Promise<{ flow: Flow; sender: RawSocket; reader: RawSocket }> {
  const [sender, source] = await openPair();
  const [destination, reader] = await openPair({ bufferBytes: TINY_BYTES });
  const resources = createFlowResources(new PipePool(maxPipes));
  const flow = new PlainFlow(resources, source.fd, destination.fd);
  cleanUps.unshift(() => flow.release());
  return { flow, sender, reader };
}

/** Pumps until the source is empty or has ended, while the reader takes a piece at a time. */
async function pumpThrough(flow: Flow, pattern: Pattern, reader: RawSocket): Promise<{ fullTimes: number }> {
  let fullTimes = 0;
  flow.isReadable = true;
  for (;;) {
    const outcome = flow.pump();
    if (outcome === FLOW_FULL) {
      fullTimes++;
      flow.isFull = false;
      await pattern.receive(reader, PIECE_BYTES);
    } else if (outcome === FLOW_EMPTY && flow.bytes < pattern.sentBytes) {
      await Bun.sleep(1); // it has been sent, but has not arrived yet
      flow.isReadable = true;
    } else if (outcome === FLOW_EMPTY || outcome === FLOW_ENDED) {
      await pattern.receive(reader, pattern.sentBytes - pattern.receivedBytes);
      return { fullTimes };
    }
  }
}

// below and above the 16 KiB from which on bytes are spliced
test.each([10_000, 16_383, 16_384, 100_000])("%d bytes leave in parts, in order", async (bytes) => {
  const { flow, sender, reader } = await openFlow();
  const pattern = new Pattern(1);
  for (let round = 0; round < 5; round++) {
    await pattern.send(sender, bytes);
    const { fullTimes } = await pumpThrough(flow, pattern, reader);
    expect(fullTimes).toBeGreaterThan(1);
    expect(flow.heldBytes).toBe(0);
    expect(flow.isEnded).toBe(false);
  }
  expect(flow.bytes).toBe(5 * bytes);
});

test("without a pipe to be had long streams are copied", async () => {
  const { flow, sender, reader } = await openFlow(0);
  const pattern = new Pattern(3);
  await pattern.send(sender, 100_000); // no more than has arrived when FIN is said to have
  sender.finish();
  flow.onFin();
  await pumpThrough(flow, pattern, reader);
  expect([flow.isEnded, flow.bytes]).toEqual([true, 100_000]);
});

test.each([10_000, 16_384, 100_000])(
  "%d bytes with FIN behind them: it ends after the last has left",
  async (bytes) => {
    const { flow, sender, reader } = await openFlow();
    const pattern = new Pattern(2);
    await pattern.send(sender, bytes);
    sender.finish();
    flow.onFin();
    await pumpThrough(flow, pattern, reader);
    expect(flow.isEnded).toBe(true);
    expect(flow.bytes).toBe(bytes);
  },
);
