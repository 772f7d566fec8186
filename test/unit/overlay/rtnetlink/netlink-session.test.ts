import { expect, test } from "bun:test";
import { type NetlinkError, NetlinkSession } from "../../../../src/overlay/rtnetlink/index.ts";
import { EAGAIN, SysError } from "../../../../src/sys/errno.ts";
import {
  decodeNetlinkMessages,
  encodeNetlinkMessage,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  RTM_GETLINK,
  RTM_NEWLINK,
} from "../../../../src/wire/netlink/index.ts";

const NOTHING = new Uint8Array(0);

interface Part {
  readonly type: number;
  readonly flags?: number;
  readonly payload?: Uint8Array;
  /** Added to the request's sequence number. */
  readonly late?: number;
}

/** A kernel that has an answer ready for each request: a list of datagrams of several messages each. */
class ScriptedKernel {
  readonly requests: number[] = [];
  readonly #answers: (readonly (readonly Part[])[])[];
  readonly #waiting: Uint8Array[] = [];

  constructor(...answers: (readonly (readonly Part[])[])[]) {
    this.#answers = answers;
  }

  send(bytes: Uint8Array): void {
    const [request] = decodeNetlinkMessages(bytes)!;
    this.requests.push(request!.flags);
    for (const datagram of this.#answers.shift() ?? [])
      this.#waiting.push(Buffer.concat(datagram.map((part) => encoded(part, request!.sequence))));
  }

  receive(): Uint8Array {
    const datagram = this.#waiting.shift();
    if (datagram === undefined) throw new SysError("recv", EAGAIN);
    return datagram;
  }

  close(): void {}
}

function encoded({ type, flags = 0, payload = NOTHING, late = 0 }: Part, sequence: number): Uint8Array {
  return encodeNetlinkMessage({ type, flags, sequence: sequence + late, portId: 1, payload });
}

function link(index: number, flags = NLM_F_MULTI): Part {
  return { type: RTM_NEWLINK, flags, payload: Uint8Array.of(index) };
}

function outcome(type: number, errno = 0): Part {
  const payload = new Uint8Array(20);
  new DataView(payload.buffer).setInt32(0, -errno, true);
  return { type, payload };
}

const DONE = outcome(NLMSG_DONE);
const ACK = outcome(NLMSG_ERROR);

function errorOf(action: () => unknown): NetlinkError {
  try {
    action();
  } catch (error) {
    return error as NetlinkError;
  }
  throw new Error("nothing was thrown");
}

test("a dump is all parts of all datagrams up to its end", () => {
  const session = new NetlinkSession(new ScriptedKernel([[link(1), link(2)], [link(3)], [DONE]]));
  expect(session.dump("list links", RTM_GETLINK, NOTHING)).toEqual([
    Uint8Array.of(1),
    Uint8Array.of(2),
    Uint8Array.of(3),
  ]);
});

test("a dump that changed meanwhile is taken again", () => {
  const kernel = new ScriptedKernel(
    [[link(1), link(2, NLM_F_MULTI | NLM_F_DUMP_INTR), DONE]],
    [[link(4), DONE]],
  );
  const session = new NetlinkSession(kernel);
  expect(session.dump("list links", RTM_GETLINK, NOTHING)).toEqual([Uint8Array.of(4)]);
  expect(kernel.requests).toEqual([NLM_F_DUMP | 1, NLM_F_DUMP | 1]);
});

test("a dump that changes all the time is given as it is", () => {
  const interrupted = [[{ ...DONE, flags: NLM_F_DUMP_INTR }]];
  const kernel = new ScriptedKernel(...Array.from({ length: 20 }, () => interrupted));
  expect(new NetlinkSession(kernel).dump("list links", RTM_GETLINK, NOTHING)).toEqual([]);
  expect(kernel.requests).toHaveLength(8);
});

test("what answers an earlier request is passed over", () => {
  const late = { ...outcome(NLMSG_ERROR, 17), late: -1 };
  const session = new NetlinkSession(new ScriptedKernel([[late], [late, ACK]]));
  expect(() => session.change("change link 1", RTM_NEWLINK, 0, NOTHING)).not.toThrow();
});

test("an error has the kernel's number and says what was tried", () => {
  const session = new NetlinkSession(new ScriptedKernel([[outcome(NLMSG_ERROR, 1)]]));
  const error = errorOf(() => session.change("delete link eth0", RTM_NEWLINK, 0, NOTHING));
  expect(error).toMatchObject({ code: "EPERM", errnoValue: 1 });
  expect(error.message).toBe("cannot delete link eth0: operation not permitted");
});

test("a kernel that says nothing is an error", () => {
  const session = new NetlinkSession(new ScriptedKernel([]));
  const error = errorOf(() => session.get("find link 1", RTM_GETLINK, NOTHING));
  expect(error.message).toBe(
    "cannot find link 1: resource temporarily unavailable: the kernel does not answer",
  );
});

test.each([
  ["an acknowledgement instead of an answer", [[ACK]], "no answer"],
  ["an error without a number", [[{ type: NLMSG_ERROR }]], "the reply is malformed"],
])("%s is an error", (_, answer, text) => {
  const session = new NetlinkSession(new ScriptedKernel(answer));
  expect(errorOf(() => session.get("find link 1", RTM_GETLINK, NOTHING)).kernelText).toBe(text);
});
