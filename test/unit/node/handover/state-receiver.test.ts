import { expect, test } from "bun:test";
import { StateReceiver } from "../../../../src/node/handover/state-receiver.ts";

function piece(key: string, bytes: number[], isLast: boolean, fds: number[] = []) {
  return { message: { type: "state", key, bytes: Uint8Array.from(bytes), isLast } as const, fds };
}

test("parts come together from their pieces, with their descriptors in order", () => {
  const receiver = new StateReceiver();
  receiver.add(piece("a", [1, 2], false, [10, 11]));
  receiver.add(piece("a", [3], true, [12]));
  receiver.add(piece("b", [4], true));
  expect([...receiver.take()].map(([key, { bytes, fds }]) => [key, [...bytes], fds])).toEqual([
    ["a", [1, 2, 3], [10, 11, 12]],
    ["b", [4], []],
  ]);
});

test("a part without its end is left out: its sender has died", () => {
  const receiver = new StateReceiver();
  receiver.add(piece("a", [1], true));
  receiver.add(piece("b", [2], false));
  expect([...receiver.take().keys()]).toEqual(["a"]);
});
