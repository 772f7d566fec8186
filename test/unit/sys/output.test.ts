import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { openOutput, writeWithin } from "../../../src/sys/output.ts";
import { outputKinds } from "../../support/os/stdio-kinds.ts";
import { tempDir } from "../../support/os/temp-dir.ts";
import { waitFor } from "../../support/time/wait-for.ts";

const ENOSPC = 28;
const EPIPE = 32;

for (const [kind, open] of Object.entries(outputKinds)) {
  test(`${kind}: a reader that has stopped blocks nothing and gets every byte later, in order`, () => {
    using pair = open();
    const output = openOutput(pair.writeFd);
    let sent = "";
    let received = "";
    let refusals = 0;
    for (let line = 0; refusals < 5; line++) {
      const text = `${line} ${"x".repeat(line % 300)}\n`;
      let rest = Buffer.from(text);
      while (rest.length > 0) {
        const taken = output.write(rest);
        expect(taken).toBeGreaterThanOrEqual(0);
        rest = rest.subarray(taken);
        if (taken > 0) continue;
        refusals++;
        received += pair.read();
      }
      sent += text;
    }
    received += pair.read();
    expect(received.replaceAll("\r\n", "\n")).toBe(sent);
    expect(pair.isWriteEndNonBlocking).toBe(false);
  });

  test(`${kind}: writing a whole text gives up at the deadline`, () => {
    using pair = open();
    const output = openOutput(pair.writeFd);
    expect(writeWithin(output, "short\n", 1_000)).toBe(true);
    expect(pair.read().trim()).toBe("short");
    expect(writeWithin(output, "long\n".repeat(200_000), 50)).toBe(false);
  });
}

test("a terminal stopped with ^S blocks nothing", async () => {
  using pair = outputKinds.terminal();
  const output = openOutput(pair.writeFd);
  writeSync(pair.readFd, "\x13");
  await waitFor(() => output.write(Buffer.from("x")) === 0, { what: "the terminal to stop" });
  writeSync(pair.readFd, "\x11");
  expect(writeWithin(output, "going on\n", 1_000)).toBe(true);
  expect(pair.read()).toContain("going on");
});

for (const kind of ["pipe", "socket"] as const) {
  test(`${kind}: a reader that has gone is an error, not a signal`, () => {
    const pair = outputKinds[kind]();
    const output = openOutput(pair.writeFd);
    closeSync(pair.readFd);
    expect(output.write(Buffer.from("line\n"))).toBe(-EPIPE);
    closeSync(pair.writeFd);
  });
}

test("files: written through; a full disk is an error", () => {
  using directory = tempDir();
  const file = openSync(directory.file("log"), "a");
  const text = "line\n".repeat(50_000);
  expect(writeWithin(openOutput(file), text, 10_000)).toBe(true);
  expect(readFileSync(directory.file("log"), "utf8")).toBe(text);
  closeSync(file);
  const full = openSync("/dev/full", "w");
  expect(openOutput(full).write(Buffer.from("line\n"))).toBe(-ENOSPC);
  closeSync(full);
});
