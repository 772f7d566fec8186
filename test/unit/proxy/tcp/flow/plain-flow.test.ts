/** A flow of bytes as they are: what is copied, what is spliced, what is held, and when it stops. */
import { beforeEach, describe, expect, test } from "bun:test";
import {
  createFlowResources,
  FLOW_DESTINATION_FAILED,
  FLOW_EMPTY,
  FLOW_ENDED,
  FLOW_FULL,
  FLOW_MORE,
  FLOW_SOURCE_FAILED,
  PipePool,
  PlainFlow,
} from "../../../../../src/proxy/tcp/flow/index.ts";
import { ECONNRESET, EPIPE } from "../../../../../src/sys/errno.ts";
import { type MemorySocket, MemorySockets } from "../../../../support/proxy/memory-sockets.ts";

const BUFFER = 16 * 1024;
const PLENTY = { hasRoom: () => true, add: () => {}, remove: () => {} };

let sockets: MemorySockets;
let sender: MemorySocket;
let reader: MemorySocket;
let flow: PlainFlow;
/** Calls that moved bytes. */
let calls: string[];

/** sender -> source -> flow -> destination -> reader */
function open(maxPipes = 4): void {
  sockets = new MemorySockets();
  const [incoming, outgoing] = [sockets.createPair(), sockets.createPair()];
  [sender, reader] = [incoming.far, outgoing.far];
  calls = [];
  const recording = {
    ...sockets,
    recv: (...call: Parameters<typeof sockets.recv>) => {
      calls.push("recv");
      return sockets.recv(...call);
    },
    splice: (...call: Parameters<typeof sockets.splice>) => {
      calls.push("splice");
      return sockets.splice(...call);
    },
  };
  flow = new PlainFlow(
    createFlowResources(new PipePool(maxPipes, PLENTY, recording), recording),
    incoming.near.fd,
    outgoing.near.fd,
  );
  flow.isReadable = true;
}

function pump(): number {
  calls.length = 0;
  return flow.pump();
}

/** As the loop does after events of both sockets. */
function takeAll(): string {
  let taken = reader.read();
  for (let turns = 0; turns < 10_000; turns++) {
    flow.isFull = false;
    flow.isReadable = true;
    const outcome = flow.pump();
    const more = reader.read();
    taken += more;
    if (outcome !== FLOW_FULL && outcome !== FLOW_MORE && more === "") return taken;
  }
  throw new Error("the flow never becomes empty");
}

beforeEach(() => open());

test("a short message costs one read: the socket is empty behind it", () => {
  sender.write("hello");
  expect([pump(), calls, flow.isReadable, reader.read()]).toEqual([FLOW_EMPTY, ["recv"], false, "hello"]);
});

test("nothing is read while nothing is readable", () => {
  flow.isReadable = false;
  sender.write("hello");
  expect([pump(), calls]).toEqual([FLOW_EMPTY, []]);
});

test("FIN that is known already costs no read of its own", () => {
  sender.write("hello");
  sender.end();
  flow.onFin();
  expect([pump(), calls, reader.read()]).toEqual([FLOW_ENDED, ["recv"], "hello"]);
});

test("FIN without a byte", () => {
  sender.end();
  expect([pump(), flow.isEnded, flow.bytes]).toEqual([FLOW_ENDED, true, 0]);
});

describe("a stream that fills the buffer", () => {
  test("is spliced from the second read on, and copied again after short splices", () => {
    sender.sendBytes = 1 << 20;
    sender.write("x".repeat(BUFFER * 3));
    pump();
    expect(calls.slice(0, 2)).toEqual(["recv", "splice"]);
    for (let i = 0; i < 6; i++) {
      sender.write("short");
      flow.isReadable = true;
      pump();
    }
    expect(calls).toEqual(["recv"]);
    expect(takeAll().length).toBe(BUFFER * 3 + 30);
  });

  test("is copied where there is no pipe", () => {
    open(0);
    sender.write("x".repeat(BUFFER * 3));
    pump();
    expect(calls).not.toContain("splice");
    expect(takeAll().length).toBe(BUFFER * 3);
  });

  test("leaves the loop its turn", () => {
    sender.sendBytes = 4 << 20;
    flow = new PlainFlow(flow.resources, flow.sourceFd, flow.destinationFd);
    flow.isReadable = true;
    const source = sender.other!;
    source.windowBytes = 4 << 20;
    reader.windowBytes = 4 << 20;
    sender.write("x".repeat(3 << 20));
    expect(pump()).toBe(FLOW_MORE);
  });
});

describe.each([
  ["copied", 0],
  ["spliced", 4],
])("bytes that the destination does not take (%s)", (_how, pipes) => {
  const text = Array.from({ length: 100_000 }, (_, index) => String.fromCharCode(index % 253)).join("");

  beforeEach(() => {
    open(pipes);
    reader.windowBytes = reader.other!.sendBytes = 1_000;
    sender.sendBytes = text.length;
    sender.write(text);
  });

  test("are held, and nothing more is read", () => {
    expect([pump(), flow.isFull]).toEqual([FLOW_FULL, true]);
    const left = sender.other!.incoming.length;
    flow.isFull = false;
    expect([pump(), calls.includes("recv"), sender.other!.incoming.length]).toEqual([FLOW_FULL, false, left]);
    expect(flow.heldBytes).toBeGreaterThan(0);
  });

  test("arrive whole and in order when it does", () => {
    sender.end();
    expect(takeAll() === text).toBe(true);
    expect([flow.isEnded, flow.heldBytes, flow.bytes]).toEqual([true, 0, text.length]);
  });

  test("are lost when the connection is broken, with what they were held in given back", () => {
    pump();
    flow.release();
    expect(flow.heldBytes).toBe(0);
  });

  test("do not keep a broken destination from being noticed", () => {
    pump();
    reader.reset();
    flow.isFull = false;
    expect([pump(), flow.error]).toEqual([FLOW_DESTINATION_FAILED, ECONNRESET]);
  });
});

test("a reset source delivers what it had sent, then its error", () => {
  sender.write("last words");
  sender.reset();
  flow.onBroken(false);
  expect([pump(), flow.error, reader.read()]).toEqual([FLOW_SOURCE_FAILED, ECONNRESET, "last words"]);
});

test("a source that is reset after its FIN has its own error", () => {
  sender.write("all");
  sender.end();
  sender.reset();
  flow.onBroken(true);
  expect([pump(), flow.error, reader.read()]).toEqual([FLOW_SOURCE_FAILED, EPIPE, "all"]);
});

test("an urgent byte between others costs no event", () => {
  sender.write("aaa");
  sender.writeUrgent("!");
  sender.write("bbb");
  flow.onUrgent();
  expect([pump(), reader.read()]).toEqual([FLOW_EMPTY, "aaa!bbb"]);
});

test("a flow that has had an urgent byte is not spliced any longer", () => {
  sender.writeUrgent("!");
  flow.onUrgent();
  sender.sendBytes = 1 << 20;
  sender.write("x".repeat(BUFFER * 4));
  pump();
  expect(calls).not.toContain("splice");
});

test("an urgent byte ends the splicing, and passes in its place", () => {
  sender.write("a".repeat(BUFFER * 2));
  pump();
  sender.writeUrgent("!");
  sender.write("b");
  flow.onUrgent();
  flow.isReadable = true;
  pump();
  expect(calls).not.toContain("splice");
  expect(takeAll()).toBe(`${"a".repeat(BUFFER * 2)}!b`);
});
