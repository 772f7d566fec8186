import { expect, test } from "bun:test";
import { ALONE, LONG, planPackageTests, planTests } from "../../../build/test-plan.ts";

const names = (jobs: readonly { readonly name: string }[]) => jobs.map(({ name }) => name);
const ALL = [...new Bun.Glob("test/{unit,fuzz,sim,net,interop}/**/*.test.ts").scanSync()];

test("every test file is in the plan, once", () => {
  const { computing, waiting, alone } = planTests(ALL);
  expect([...computing, ...waiting, ...alone].flatMap(({ files }) => files).toSorted()).toEqual(
    ALL.toSorted(),
  );
});

test("every file with a place of its own in the order exists", () => {
  for (const file of [...LONG, ...ALONE]) expect(ALL).toContain(file);
});

test("long files start first, those that measure run alone", () => {
  const files = ["test/interop/serf-mesh.test.ts", "test/net/memory.test.ts", "test/net/udp.test.ts"];
  const { waiting, alone } = planTests([
    ...files,
    "test/net/mesh-faults.test.ts",
    "test/unit/wire/ip.test.ts",
  ]);
  expect(names(waiting)[0]).toBe("test/net/mesh-faults.test.ts");
  expect(names(alone)).toEqual(["test/net/memory.test.ts"]);
});

test("folders without a chosen file have no job", () => {
  const { computing } = planTests(["test/sim/catalog.test.ts", "test/unit/wire/ip.test.ts"]);
  expect(names(computing)).toEqual(["test/unit", "test/sim"]);
});

test("files of packages run one after the other and make their own networks", () => {
  const files = ["test/package/debian.test.ts", "test/package/image.test.ts"];
  const { computing, waiting, alone } = planPackageTests(files);
  expect([...computing, ...waiting]).toEqual([]);
  expect(names(alone)).toEqual(files);
  expect(alone.some(({ needsOwnNetwork }) => needsOwnNetwork)).toBe(false);
});

test("an empty folder of packages is an empty plan", () => {
  expect(planPackageTests([])).toEqual({ computing: [], waiting: [], alone: [] });
});
