import { expect, test } from "bun:test";
import { Catalog, type Overwritten } from "../../../src/catalog/index.ts";
import { spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;

function newCatalog(name: string): Catalog {
  const catalog = new Catalog(name);
  catalog.tick(NOW_MS, [], () => 0);
  return catalog;
}

/** What each has to gossip, told to all, until nobody has news. */
function gossip(...catalogs: readonly Catalog[]): void {
  while (catalogs.some((catalog) => catalog.hasNews)) {
    for (const from of catalogs) {
      for (const payload of from.draw(60_000, 1))
        for (const to of catalogs) if (to !== from) to.onMessage(null, payload, NOW_MS);
    }
  }
}

/** As "PORT of NODE lost to PORT of NODE"; "-": a removal. */
function described(changes: readonly Overwritten[]): string[] {
  const side = ({ spec, stamp }: Overwritten["lost"]) =>
    `${spec === null ? "-" : spec.publish[0]!.published} of ${stamp.node}`;
  return changes.map(({ lost, by }) => `${side(lost)} lost to ${side(by)}`);
}

function pair(): [Catalog, Catalog] {
  const catalogs: [Catalog, Catalog] = [newCatalog("a"), newCatalog("b")];
  catalogs[0].writeService("web", spec(80), NOW_MS);
  gossip(...catalogs);
  return catalogs;
}

test("overwritten: of two changes made beside each other both nodes tell which was lost, once", () => {
  const [a, b] = pair();
  a.writeService("web", spec(81), NOW_MS + 1);
  b.writeService("web", spec(82), NOW_MS + 2);
  gossip(a, b);
  for (const catalog of [a, b]) {
    expect(described(catalog.takeOverwritten())).toEqual(["81 of a lost to 82 of b"]);
    expect(catalog.takeOverwritten()).toEqual([]);
    expect(catalog.overwrittenOf("web")).toMatchObject([
      { service: "web", lost: { atMs: NOW_MS + 1 }, by: { atMs: NOW_MS + 2 } },
    ]);
  }
  a.writeService("web", spec(83), NOW_MS + 3); // knows both
  gossip(a, b);
  expect([a.takeOverwritten(), b.takeOverwritten()]).toEqual([[], []]);
});

test("overwritten: a chain of changes is one loss, by its last; the winner's own steps are none", () => {
  const [a, b] = pair();
  for (const port of [81, 82, 83]) a.writeService("web", spec(port), NOW_MS);
  for (const port of [91, 92, 93, 94]) b.writeService("web", spec(port), NOW_MS);
  gossip(a, b);
  for (const catalog of [a, b])
    expect(described(catalog.takeOverwritten())).toEqual(["83 of a lost to 94 of b"]);
});

test("overwritten: changes that say the same, and successions heard in any order, are none", () => {
  const [a, b] = pair();
  a.writeService("web", spec(81), NOW_MS);
  b.writeService("web", spec(81), NOW_MS);
  const messages = [...a.draw(60_000, 1), ...b.draw(60_000, 1)];
  for (const port of [82, 83, 84]) {
    for (const message of messages) b.onMessage(null, message, NOW_MS);
    b.writeService("web", spec(port), NOW_MS);
    messages.push(...b.draw(60_000, 1));
  }
  const c = newCatalog("c");
  for (const message of [...messages, ...messages.toReversed()]) c.onMessage(null, message, NOW_MS);
  expect(c.services().get("web")!.spec.publish[0]!.published).toBe(84);
  expect(c.takeOverwritten()).toEqual([]);
});

test("overwritten: a removal and a change, whichever is lost; two services of one name", () => {
  const [a, b] = pair();
  a.removeService("web");
  b.writeService("web", spec(81), NOW_MS + 5);
  a.writeService("new", spec(1), NOW_MS);
  b.writeService("new", spec(2), NOW_MS);
  gossip(a, b);
  expect(described(a.takeOverwritten())).toEqual(["- of a lost to 81 of b", "1 of a lost to 2 of b"]);
  expect(a.overwrittenOf("web")[0]!.lost.atMs).toBe(NOW_MS);
  b.removeService("web");
  b.writeTask(task("x", "y")); // a later counter
  a.writeService("web", spec(82), NOW_MS);
  a.writeTask(task("x", "y"));
  gossip(a, b);
  expect(described(b.takeOverwritten()).at(-1)).toBe("82 of a lost to - of b");
});

test("overwritten: what is too long ago to be known is not guessed", () => {
  const [a, b] = pair();
  const away = newCatalog("away");
  gossip(a, b);
  for (const payload of a.draw(60_000, 1)) away.onMessage(null, payload, NOW_MS);
  for (let port = 100; port < 120; port++) a.writeService("web", spec(port), NOW_MS);
  const late = newCatalog("b");
  late.writeService("web", spec(7), NOW_MS);
  for (const payload of late.draw(60_000, 1)) a.onMessage(null, payload, NOW_MS);
  expect(a.takeOverwritten()).toEqual([]);
});

test("overwritten: bounded, and kept with the state", () => {
  const a = newCatalog("a");
  for (let service = 0; service < 300; service++) {
    a.writeService(`s${service}`, spec(1), NOW_MS);
    a.writeService(`s${service}`, spec(2), NOW_MS);
  }
  for (let rival = 0; rival < 12; rival++) {
    const b = newCatalog(`b${rival}`);
    for (let service = rival === 0 ? 0 : 299; service < 300; service++)
      b.writeService(`s${service}`, spec(100 + rival), NOW_MS);
    while (b.hasNews) for (const payload of b.draw(60_000, 1)) a.onMessage(null, payload, NOW_MS);
  }
  expect(a.takeOverwritten().length).toBeLessThanOrEqual(256);
  expect(a.overwrittenOf("s0").length).toBe(0); // the oldest made room
  expect(a.overwrittenOf("s299").length).toBe(8);
  const again = newCatalog("a");
  const { problem } = again.restore(a.snapshot({ isFileKnown: true, members: null }), NOW_MS);
  expect(problem).toBeNull();
  expect(again.overwrittenOf("s299")).toEqual(a.overwrittenOf("s299"));
  expect(again.takeOverwritten()).toEqual([]);
});
