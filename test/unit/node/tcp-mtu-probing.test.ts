import { expect, test } from "bun:test";
import { enableTcpMtuProbing } from "../../../src/node/tcp-mtu-probing.ts";

/** One setting, and the lines that were logged. */
function setting(value: string | null, isReadOnly = false) {
  const lines: string[] = [];
  const state = { value, lines };
  const log = {
    info: (text: unknown) => lines.push(`info ${text}`),
    warn: (_: unknown, text: unknown) => lines.push(`warn ${text}`),
  };
  const sysctls = {
    read: () => state.value,
    write: (_: string, next: string) => {
      if (isReadOnly) throw new Error("EROFS: read-only file system");
      state.value = next;
    },
  };
  return { state, start: () => enableTcpMtuProbing(log as never, sysctls) };
}

test("is turned on, with a line, and off again", () => {
  const { state, start } = setting("0");
  const restore = start();
  expect(state.value).toBe("1");
  expect(state.lines).toEqual([expect.stringContaining("net.ipv4.tcp_mtu_probing is 1")]);
  restore();
  expect(state.value).toBe("0");
});

test.each(["1", "2", null])("%p is left alone", (value) => {
  const { state, start } = setting(value);
  start()();
  expect(state).toEqual({ value, lines: [] });
});

test("a value that another program has set meanwhile stays", () => {
  const { state, start } = setting("0");
  const restore = start();
  state.value = "2";
  restore();
  expect(state.value).toBe("2");
});

test("where it cannot be set the log says what to do", () => {
  const { state, start } = setting("0", true);
  start()();
  expect(state.value).toBe("0");
  expect(state.lines).toEqual([expect.stringContaining("--sysctl net.ipv4.tcp_mtu_probing=1")]);
});
