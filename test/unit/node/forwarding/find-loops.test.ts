import { describe, expect, test } from "bun:test";
import { type Edge, findLoops } from "../../../../src/node/forwarding/find-loops.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

/** "0>1 1>0", and the vertices with a way out. */
function loops(text: string, exits: readonly number[] = []): string[][] {
  const edges = text.split(" ").map((edge): Edge => {
    const [from, to] = edge.split(">").map(Number) as [number, number];
    return { from, to };
  });
  const count = Math.max(...edges.flatMap(({ from, to }) => [from, to])) + 1;
  const found = findLoops({ count, edges, isExit: (vertex) => exits.includes(vertex) });
  return found.map(({ path }) => path.map(({ from, to }) => `${from}>${to}`));
}

test.each([
  ["an edge to itself", "0>0", [], [["0>0"]]],
  [
    "two that lead to each other",
    "0>1 1>0",
    [],
    [
      ["0>1", "1>0"],
      ["1>0", "0>1"],
    ],
  ],
  ["a chain", "0>1 1>2", [], []],
  [
    "a chain into a circle: the circle alone",
    "0>1 1>2 2>1",
    [],
    [
      ["1>2", "2>1"],
      ["2>1", "1>2"],
    ],
  ],
  ["an edge to itself beside an exit", "0>0", [0], [["0>0"]]],
  ["the edge away from the only exit", "0>1 1>0", [1], [["1>0", "0>1"]]],
  [
    "edges between vertices with exits",
    "0>1 1>0",
    [0, 1],
    [
      ["0>1", "1>0"],
      ["1>0", "0>1"],
    ],
  ],
  [
    "the way back of three, shortest first",
    "0>1 1>2 2>0 1>0",
    [2],
    [
      ["2>0", "0>1", "1>2"],
      ["1>0", "0>1"],
    ],
  ],
  ["twice the same edge", "0>0 0>0", [], [["0>0"], ["0>0"]]],
] as const)("%s", (_, graph, exits, expected) => {
  expect(loops(graph, exits)).toEqual(expected.map((path) => [...path]));
});

describe("in any graph", () => {
  const random = seededRandom(7);
  const below = (limit: number) => Math.floor(random() * limit);

  test.each(Array.from({ length: 200 }, (_, run) => run))(
    "what stays has no circle, and exits stay in reach (%i)",
    () => {
      const count = 1 + below(12);
      const edges = Array.from({ length: below(30) }, () => ({ from: below(count), to: below(count) }));
      const exits = new Set(Array.from({ length: below(4) }, () => below(count)));
      const found = findLoops({ count, edges, isExit: (vertex) => exits.has(vertex) });
      const kept = edges.filter((edge) => !found.some((loop) => loop.edge === edge));
      expect(hasCircle(count, kept)).toBe(false);
      for (let vertex = 0; vertex < count; vertex++) {
        expect(reachesAny(vertex, exits, kept)).toBe(reachesAny(vertex, exits, edges));
      }
      for (const { edge, path } of found) {
        expect(path[0]).toBe(edge);
        expect(path.at(-1)!.to).toBe(edge.from);
        path.slice(1).forEach((next, index) => expect(next.from).toBe(path[index]!.to));
      }
    },
  );
});

test("thousands of vertices in one circle take no time and no stack", () => {
  const count = 20_000;
  const edges = Array.from({ length: count }, (_, from) => ({ from, to: (from + 1) % count }));
  expect(findLoops({ count, edges, isExit: () => false })).toHaveLength(count);
});

/** The dull way: takes away vertices without edges until none is left. */
function hasCircle(count: number, edges: readonly Edge[]): boolean {
  let left = [...edges];
  for (let round = 0; round <= count; round++) {
    left = left.filter(({ to }) => left.some(({ from }) => from === to));
  }
  return left.length > 0;
}

function reachesAny(start: number, goals: ReadonlySet<number>, edges: readonly Edge[]): boolean {
  const reached = new Set([start]);
  for (const vertex of reached) {
    for (const { from, to } of edges) if (from === vertex) reached.add(to);
  }
  return [...reached].some((vertex) => goals.has(vertex));
}
