/** Merging as an algebra: any order, any repetition and any detour of the same writes end in the same table. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Catalog } from "../../../src/catalog/index.ts";
import { rootHash } from "../../support/catalog/catalog-network.ts";
import { declared, nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const NODES = ["a", "b", "c"] as const;

type Step =
  | {
      readonly do: "service" | "remove" | "declare" | "undeclare" | "task" | "untask" | "directive";
      readonly node: number;
      readonly key: number;
      readonly value: number;
    }
  | { readonly do: "hear"; readonly node: number; readonly from: number };

const write = fc.record({
  do: fc.constantFrom(
    "service" as const,
    "remove" as const,
    "declare" as const,
    "undeclare" as const,
    "task" as const,
    "untask" as const,
    "directive" as const,
  ),
  node: fc.nat(2),
  key: fc.nat(2),
  value: fc.nat(5),
});
const hear = fc.record({ do: fc.constant("hear" as const), node: fc.nat(2), from: fc.nat(30) });
const history: fc.Arbitrary<Step[]> = fc.array(fc.oneof(write, hear), { minLength: 1, maxLength: 40 });

/** Carries the history out on three catalogs; returns each message any of them would have gossiped. */
function play(steps: readonly Step[]): Uint8Array[] {
  const catalogs = NODES.map(newCatalog);
  const said: Uint8Array[] = [];
  for (const step of steps) {
    const catalog = catalogs[step.node]!;
    if (step.do === "hear") {
      const message = said[step.from];
      if (message) catalog.onMessage(null, message, NOW_MS);
    } else writeStep(catalog, step.do, step.key, step.value);
    said.push(...catalog.draw(1400, 1));
  }
  return said;
}

function writeStep(catalog: Catalog, what: Exclude<Step["do"], "hear">, key: number, value: number): void {
  const name = `s${key}`;
  if (what === "service") catalog.writeService(name, spec(1000 + value), NOW_MS + value);
  else if (what === "remove") catalog.removeService(name);
  else if (what === "declare")
    catalog.declare(declared(name, spec(1000 + value), { age: value > 3 ? "kept" : "newest" }), NOW_MS);
  else if (what === "undeclare") catalog.undeclare(name);
  else if (what === "task")
    catalog.writeTask(task(name, "t", { weight: 1 + value, origin: value > 2 ? "api" : "file" }));
  else if (what === "untask") catalog.removeTask(name, "t");
  else catalog.setDirective(NODES[key]!, value > 2 ? "drain" : null);
}

function newCatalog(name: string): Catalog {
  const catalog = new Catalog(name);
  catalog.setLive(NODES);
  return catalog;
}

/** A bystander that owns nothing and hears the messages in this order. */
function hearAll(messages: readonly Uint8Array[], name = "bystander"): Catalog {
  const catalog = newCatalog(name);
  for (const message of messages) catalog.onMessage(null, message, NOW_MS);
  return catalog;
}

function visible(catalog: Catalog): unknown {
  return [
    [...catalog.services()],
    catalog.tasks(),
    NODES.map((node) => catalog.directiveOf(node)),
    [...catalog.conflicts()],
  ];
}

test("merging commutes: any order of the same messages ends in the same table", () => {
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.nat()), (steps, order) => {
      const messages = play(steps);
      const shuffled = messages
        .map((message) => ({ message, at: order.next().value as number }))
        .sort((one, other) => one.at - other.at)
        .map(({ message }) => message);
      const [one, other] = [hearAll(messages), hearAll(shuffled)];
      expect(rootHash(one)).toBe(rootHash(other));
      expect(visible(one)).toEqual(visible(other));
    }),
  );
});

test("merging is idempotent: messages heard twice change nothing, not even the revision", () => {
  fc.assert(
    fc.property(history, (steps) => {
      const messages = play(steps);
      const catalog = hearAll(messages);
      const before = [rootHash(catalog), catalog.revision];
      for (const message of [...messages].reverse()) catalog.onMessage(null, message, NOW_MS);
      expect([rootHash(catalog), catalog.revision]).toEqual(before);
    }),
  );
});

test("merging is associative: what went through another node first ends in the same table", () => {
  fc.assert(
    fc.property(history, fc.nat(), (steps, cut) => {
      const messages = play(steps);
      const part = messages.slice(0, cut % (messages.length + 1));
      const rest = messages.slice(part.length);
      const relayed = [hearAll(rest, "relay"), hearAll(part, "relay")].flatMap((relay) => drawAll(relay));
      expect(rootHash(hearAll(relayed))).toBe(rootHash(hearAll(messages)));
    }),
  );
});

test("after any loss anti-entropy makes the tables equal", () => {
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.nat(3)), (steps, luck) => {
      const messages = play(steps);
      const some = () => messages.filter(() => luck.next().value !== 0);
      const [one, other] = [hearAll(some(), "one"), hearAll(some(), "other")];
      synchronize(one, other);
      expect(rootHash(one)).toBe(rootHash(other));
      expect(visible(one)).toEqual(visible(other));
    }),
  );
});

test("owners whose gossip is lost end with the bystanders, and their own records as they wrote them last", () => {
  fc.assert(
    fc.property(history, (steps) => {
      const owner = newCatalog("a");
      const bystander = hearAll(play(steps)); // of an "a" that is gone
      owner.writeTask(task("s0", "t", { weight: 9 }));
      owner.writeNode(nodeRecord());
      synchronize(owner, bystander);
      for (const catalog of [owner, bystander]) {
        const own = catalog.tasks().filter((one) => one.owner === "a");
        expect(own.map(({ service, weight }) => [service, weight])).toEqual([["s0", 9]]);
      }
      expect(rootHash(owner)).toBe(rootHash(bystander));
    }),
  );
});

function drawAll(catalog: Catalog): Uint8Array[] {
  const drawn: Uint8Array[] = [];
  while (catalog.hasNews) drawn.push(...catalog.draw(1400, 1));
  return drawn;
}

/** Rounds of anti-entropy, led in turn, until a round has nothing to say. Nothing is lost. */
function synchronize(one: Catalog, other: Catalog): void {
  const byName = new Map([one, other].map((catalog) => [catalog.self, catalog]));
  for (let round = 1; round <= 6; round++) {
    const nowMs = NOW_MS + round * 10_000;
    const [leader, peer] = round % 2 === 0 ? [one, other] : [other, one];
    leader.setLive([...NODES, peer.self]);
    let sends = leader.tick(nowMs, [peer.self], () => 0.5);
    for (let turn = 0; sends.length > 0; turn++) {
      if (turn > 100) throw new Error("the round does not end");
      sends = sends.flatMap(({ to, payload }) => byName.get(to)!.onMessage(null, payload, nowMs));
    }
  }
}
