import { expect, test } from "bun:test";
import { type Options, parseOptions, UsageError } from "../../bench/options.ts";

test("the defaults are everything, 5 rounds of 5 seconds, one worker", () => {
  const options = parseOptions([]) as Options;
  expect(options).toMatchObject({ rounds: 5, seconds: 5, workers: 1, hasScale: true, isQuick: false });
  expect(options.workloads).toHaveLength(13);
  expect(options.overlayWorkloads).toHaveLength(10);
  expect(options.contestants).toHaveLength(10);
});

test("--only and --proxies choose; the reference stays", () => {
  const options = parseOptions(["--only", "dns-1,bulk-1", "--proxies", "portmesh"]) as Options;
  expect(options).toMatchObject({
    workloads: ["bulk-1", "dns-1"],
    hasScale: false,
    subjects: ["direct", "portmesh"],
  });
});

test("a group is all its workloads", () => {
  expect(parseOptions(["--only", "mesh,dns-1"])).toMatchObject({
    workloads: ["dns-1", "mesh-bulk", "mesh-keep-alive", "mesh-one-shot", "mesh-latency"],
  });
});

test("between two machines, too", () => {
  const overlay = parseOptions(["--only", "overlay"]) as Options;
  expect(overlay).toMatchObject({ workloads: [], hasScale: false });
  expect(overlay.overlayWorkloads).toHaveLength(10);
  const some = parseOptions(["--only", "relay-1,mesh", "--contestants", "nebula,veth"]) as Options;
  expect(some).toMatchObject({ overlayWorkloads: ["relay-1"], contestants: ["nebula", "veth"] });
  expect(some.workloads).toHaveLength(4);
});

test("--quick is one round of one second", () => {
  expect(parseOptions(["--quick"])).toMatchObject({ rounds: 1, seconds: 1, isQuick: true });
});

test("--help wins", () => expect(parseOptions(["--help"])).toBe("help"));

test.each([
  [["--rounds", "0"], "--rounds: 0 is not a whole number in 1..1000"],
  [["--seconds", "60"], "--seconds: 60 is not a whole number in 1..50"],
  [["--workers", "x"], "--workers: x is not a whole number in 1..2"],
  [["--only", "bulk"], '--only: "bulk" is not one of bulk-1, bulk-8'],
  [["--contestants", "ipsec"], '--contestants: "ipsec" is not one of veth, kernel-vxlan'],
  [["--fast"], "--fast"],
])("%p is refused", (argv, message) => {
  expect(() => parseOptions(argv)).toThrow(UsageError);
  expect(() => parseOptions(argv)).toThrow(message);
});
