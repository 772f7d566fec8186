import { expect, test } from "bun:test";
import fc from "fast-check";
import { findByServerName } from "../../../src/model/index.ts";
import { canonicalServerName, SERVER_NAME_PATTERN } from "../../../src/model/server-names.ts";

test.each([
  ["A.Example.org.", "a.example.org"],
  ["*.b.example.org", "*.b.example.org"],
  ["localhost", "localhost"],
  ["_x.example", "_x.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["*", null],
  ["", null],
  [".", null],
  ["a..b", null],
  ["-a.example", null],
  ["a.*.example", null],
  ["b\u00fccher.example", null],
  ["192.0.2.1", null],
  ["2001:db8::1", null],
  [`${"a".repeat(64)}.example`, null],
  [`${"a.".repeat(127)}a`, null],
])("canonicalServerName(%j)", (text, name) => {
  expect(canonicalServerName(text)).toBe(name);
  if (name !== null) expect(text).toMatch(new RegExp(SERVER_NAME_PATTERN));
});

const LABEL = fc.constantFrom("a", "b", "c");
const NAME = fc.array(LABEL, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));

/** The rule in words, checked one after the other. */
function slowFind(names: readonly string[], serverName: string): string | undefined {
  const wildcards = names.filter((name) => name.startsWith("*.") && serverName.endsWith(name.slice(1)));
  const exact = names.find((name) => name === serverName);
  return exact ?? wildcards.toSorted((one, other) => other.length - one.length)[0];
}

test("findByServerName: exact before wildcard, the longest wildcard first, else the one without names", () => {
  const property = fc.property(fc.uniqueArray(NAME), fc.uniqueArray(NAME), NAME, (exact, below, wanted) => {
    const names = [...exact, ...below.map((name) => `*.${name}`)];
    const byName = new Map(names.map((name) => [name, name]));
    const found = slowFind(names, wanted);
    expect(findByServerName(byName, wanted)).toBe(found);
    byName.set("", "any");
    expect(findByServerName(byName, wanted)).toBe(found ?? "any");
    expect(findByServerName(byName, null)).toBe("any");
  });
  fc.assert(property);
});

test("findByServerName: what a client sends is no wildcard, and no name of none", () => {
  const byName = new Map([
    ["*.example", "below"],
    ["", "any"],
  ]);
  expect(["*.example", "", ".example", "..example"].map((name) => findByServerName(byName, name))).toEqual([
    "below",
    "any",
    "any",
    "below",
  ]);
});
