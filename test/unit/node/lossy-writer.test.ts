import { expect, test } from "bun:test";
import { LossyWriter } from "../../../src/node/log.ts";

test("LossyWriter drops what cannot be written and tells how much it was", () => {
  const written: string[] = [];
  let failure: "full" | "closed" | null = null;
  const writer = new LossyWriter((text) => {
    if (failure === "full") throw new Error("no space left on device");
    if (failure === "closed") return false;
    written.push(text);
    return true;
  });
  writer.write("one\n");
  failure = "closed";
  writer.write("two\n");
  failure = "full";
  writer.write("three\n");
  failure = null;
  writer.write("four\n");
  writer.write("five\n");
  expect(written).toEqual([
    "one\n",
    `{"level":"warn","msg":"2 log lines were lost: no space left on device"}\nfour\n`,
    "five\n",
  ]);
});
