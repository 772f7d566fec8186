import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bundledPackages, collectLicenses, listedLibraries } from "../../../../build/package/licenses.ts";
import { RUNTIME_COMPONENTS } from "../../../../build/package/runtime-components.ts";
import { TARGETS } from "../../../../build/package/targets.ts";
import packageJson from "../../../../package.json" with { type: "json" };

test("every library that the runtime lists is known, with the text of its licence", () => {
  const names = RUNTIME_COMPONENTS.map(({ name }) => name);
  const listed = listedLibraries();
  expect(listed.length).toBeGreaterThan(20);
  expect(listed.filter((name) => !names.includes(name))).toEqual([]);

  const texts = RUNTIME_COMPONENTS.flatMap(({ text }) => (text === null ? [] : [text]));
  expect(readdirSync("build/package/runtime-licenses").sort()).toEqual([...texts].sort());
});

test("the licences name the product, each bundled package and the runtime", () => {
  const licenses = collectLicenses();
  const packages = bundledPackages();
  expect(packages.map(({ name }) => name)).toEqual(
    expect.arrayContaining(Object.keys(packageJson.dependencies)),
  );
  expect(packages.map(({ name }) => name)).not.toContain("typescript");
  for (const { name, version } of packages) expect(licenses).toContain(`\n${name} ${version}: `);
  expect(licenses).toContain(`\nportmesh ${packageJson.version}: Apache-2.0\n`);
  expect(licenses).toContain(`\nBun ${packageJson.devDependencies.bun}, the runtime: MIT\n`);
  expect(licenses).toContain("GNU LIBRARY GENERAL PUBLIC LICENSE"); // WebKit
});

test("the runtimes are those of the compiler: one version, each with its hash", () => {
  const read = (file: string) => JSON.parse(readFileSync(join("build/package/runtimes", file), "utf8"));
  const bun = packageJson.devDependencies.bun;
  const runtimes = Object.fromEntries(TARGETS.map(({ runtime }) => [runtime, bun]));
  expect(read("package.json").dependencies).toEqual(runtimes);
  const { packages } = read("package-lock.json");
  for (const { runtime } of TARGETS) {
    expect(packages[`node_modules/${runtime}`].version).toBe(bun);
    expect(packages[`node_modules/${runtime}`].integrity).toStartWith("sha512-");
  }
  expect(existsSync("build/package/runtimes/node_modules")).toBe(false);
});
