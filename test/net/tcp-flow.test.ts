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
  FLOW_SOURCE_FAILED,
  type Flow,
  OpeningFlow,
  PipePool,
  PlainFlow,
  SealingFlow,
} from "../../src/proxy/tcp/flow/index.ts";
import { RecordOpener, RecordSealer } from "../../src/wire/index.ts";
import { Pattern } from "../support/load/pattern.ts";
import { PLENTY } from "../support/os/descriptor-plenty.ts";
import { type BufferOptions, RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { GCM } from "../support/overlay/gcm.ts";
import { waitFor } from "../support/time/wait-for.ts";

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
  const resources = createFlowResources(new PipePool(maxPipes, PLENTY));
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

/** sender -> source -> sealing flow -> wire -> opening flow -> destination -> reader */
async function openSealed() {
  const [sender, source] = await openPair();
  const [near, far] = await openPair({ bufferBytes: TINY_BYTES });
  const [destination, reader] = await openPair({ bufferBytes: TINY_BYTES });
  const resources = createFlowResources(new PipePool(0, PLENTY));
  const key = new Uint8Array(32).fill(3);
  let forged = 0;
  const sealing = new SealingFlow(resources, source.fd, near.fd, new RecordSealer(key, GCM));
  const opening = new OpeningFlow(
    resources,
    far.fd,
    destination.fd,
    new RecordOpener(key, GCM),
    () => forged++,
  );
  cleanUps.unshift(() => [sealing, opening].forEach((flow) => flow.release()));
  return { sender, near, reader, sealing, opening, forged: () => forged };
}

/** Both flows, while the reader takes a piece at a time, until so much has come. */
async function passSealed(
  { sealing, opening, reader }: Awaited<ReturnType<typeof openSealed>>,
  pattern: Pattern,
): Promise<void> {
  while (pattern.receivedBytes < pattern.sentBytes) {
    for (const flow of [sealing, opening]) {
      flow.isReadable = true;
      flow.isFull = false;
      expect(flow.pump()).toBeOneOf([FLOW_EMPTY, FLOW_FULL, FLOW_ENDED]);
    }
    const left = Math.min(PIECE_BYTES, opening.bytes - pattern.receivedBytes);
    if (left > 0) await pattern.receive(reader, left);
    else await Bun.sleep(1); // it is on its way
  }
}

test.each([1, 700, 16_384, 65_536, 200_000])("%d bytes leave sealed in parts, in order", async (bytes) => {
  const way = await openSealed();
  const pattern = new Pattern(5);
  for (let round = 0; round < 3; round++) {
    await pattern.send(way.sender, bytes);
    await passSealed(way, pattern);
    expect([way.sealing.bytes, way.opening.bytes]).toEqual([pattern.sentBytes, pattern.sentBytes]);
    expect([way.sealing.heldBytes, way.opening.heldBytes]).toEqual([0, 0]);
  }
  way.sender.finish();
  way.sealing.onFin();
  await waitFor(
    () => {
      for (const flow of [way.sealing, way.opening]) {
        flow.isReadable = true;
        flow.pump();
      }
      return way.opening.isEnded;
    },
    { what: "the end" },
  );
  expect([way.sealing.isEnded, way.forged()]).toEqual([true, 0]);
});

test("a sealed stream that breaks has no end record, though reads say that it has ended", async () => {
  const way = await openSealed();
  way.sender.finish();
  way.sealing.onBroken(false);
  way.sealing.isReadable = true;
  await waitFor(() => way.sealing.pump() === FLOW_ENDED, { what: "the end of reading" });
  way.near.finish();
  way.opening.isReadable = true;
  await waitFor(
    () => {
      way.opening.isReadable = true;
      return way.opening.pump() === FLOW_SOURCE_FAILED;
    },
    { what: "the missing end to be noticed" },
  );
  expect([way.opening.isEnded, way.forged()]).toEqual([false, 1]);
  expect(way.opening.pump()).toBe(FLOW_SOURCE_FAILED);
});
