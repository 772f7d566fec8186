import { expect, test } from "bun:test";
import { standardDataDir, standardSockets, type User } from "../../../src/sys/standard-paths.ts";

function user(
  uid: number,
  env: User["env"],
  { writable = [] as string[], missing = [] as string[] } = {},
): User {
  return {
    uid,
    env,
    exists: (path) => !missing.includes(path),
    canWrite: (path) => writable.includes(path),
  };
}

const HOME = { HOME: "/h/ann" };

test.each([
  ["root", user(0, HOME), "/var/lib/portmesh"],
  [
    "a service user with a state directory",
    user(999, HOME, { writable: ["/var/lib/portmesh"] }),
    "/var/lib/portmesh",
  ],
  ["a user", user(1000, HOME), "/h/ann/.local/state/portmesh"],
  ["a user with XDG_STATE_HOME", user(1000, { ...HOME, XDG_STATE_HOME: "/s" }), "/s/portmesh"],
  [
    "a relative XDG_STATE_HOME is ignored",
    user(1000, { ...HOME, XDG_STATE_HOME: "s" }),
    "/h/ann/.local/state/portmesh",
  ],
  [
    "a home that is not there",
    user(999, { HOME: "/nonexistent" }, { missing: ["/nonexistent"] }),
    "/var/lib/portmesh",
  ],
  ["a container's user, whose home is the root directory", user(65_532, { HOME: "/" }), "/var/lib/portmesh"],
  ["no home at all", user(1000, {}), "/var/lib/portmesh"],
] as const)("standardDataDir: %s", (_, who, expected) => {
  expect(standardDataDir(who)).toBe(expected);
});

test("standardSockets: the system's place, the user's, the data directory", () => {
  const run = "/run/portmesh/portmesh.sock";
  expect(standardSockets(null, user(0, { XDG_RUNTIME_DIR: "/run/user/1000" }))).toEqual([
    run,
    "/var/lib/portmesh/portmesh.sock",
  ]);
  expect(standardSockets(null, user(1000, { ...HOME, XDG_RUNTIME_DIR: "/r" }))).toEqual([
    run,
    "/r/portmesh/portmesh.sock",
    "/h/ann/.local/state/portmesh/portmesh.sock",
  ]);
  // a command run by cron does not have the variable that the node had
  expect(standardSockets("/srv/pm", user(1000, { XDG_RUNTIME_DIR: "r" }))).toEqual([
    run,
    "/run/user/1000/portmesh/portmesh.sock",
    "/srv/pm/portmesh.sock",
  ]);
});
