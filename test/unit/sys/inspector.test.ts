import { expect, test } from "bun:test";
import { inspectorVariable } from "../../../src/sys/inspector.ts";

test.each([
  [{ BUN_INSPECT: "ws://127.0.0.1:1/x" }, "BUN_INSPECT"],
  [{ BUN_INSPECT_CONNECT_TO: "unix:///x" }, "BUN_INSPECT_CONNECT_TO"],
  [{ BUN_OPTIONS: "--inspect-wait" }, "BUN_OPTIONS"],
  [{ BUN_INSPECT: "", BUN_OPTIONS: "--smol", INSPECT: "1" }, null],
])("%p opens a debugger: %p", (env, variable) => {
  expect(inspectorVariable(env)).toBe(variable);
});
