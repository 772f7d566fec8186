import { expect, test } from "bun:test";
import { describeRelease } from "../../../../build/package/sbom.ts";
import { TARGETS } from "../../../../build/package/targets.ts";
import packageJson from "../../../../package.json" with { type: "json" };

interface Bill {
  metadata: { component: { name: string; version: string } };
  components: { "bom-ref": string; name: string; version?: string; hashes?: { content: string }[] }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

const EXECUTABLES = TARGETS.map((target) => ({
  target,
  file: `portmesh-1.2.3-${target.name}`,
  sha256: "ab".repeat(32),
}));

test("the bill of materials lists executables, packages, runtimes and what is inside them, each of them once", async () => {
  const text = await describeRelease(EXECUTABLES);
  const bill: Bill = JSON.parse(text);
  expect(bill.metadata.component).toMatchObject({ name: "portmesh", version: packageJson.version });
  const names = bill.components.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      ...EXECUTABLES.map(({ file }) => file),
      ...Object.keys(packageJson.dependencies),
      ...TARGETS.map(({ runtime }) => runtime),
      "WebKit",
      "boringssl",
    ]),
  );
  expect(bill.components.find(({ name }) => name === "sqlite")?.version).toMatch(/^3\./);
  expect(bill.components.find(({ name }) => name.endsWith("linux-arm64"))?.hashes?.[0]?.content).toBe(
    "ab".repeat(32),
  );

  const references = bill.components.map((component) => component["bom-ref"]);
  expect(new Set(references).size).toBe(references.length);
  const known = new Set([...references, `portmesh@${packageJson.version}`]);
  for (const { ref, dependsOn } of bill.dependencies) {
    expect([ref, ...dependsOn].filter((reference) => !known.has(reference))).toEqual([]);
  }
});
