/**
 * Which file of src imports which, and what must not be: cycles between files, cycles between the folders of one
 * folder, imports from a lower layer to a higher one. Types count like values. Pure.
 */

/** File or folder -> what it imports, both as paths from the repository's root. */
export type ImportGraph = ReadonlyMap<string, ReadonlySet<string>>;

const IMPORT = /(?:\bfrom|\bimport|\bimport\()\s*["'](\.[^"']+)["']/g;

/** Relative imports of a file: the target's path, and where in the text. */
export function importsOf(path: string, text: string): { readonly target: string; readonly index: number }[] {
  return [...text.matchAll(IMPORT)].map((match) => ({
    target: resolveImport(path, match[1]!),
    index: match.index,
  }));
}

/** @param source relative, as the file at `path` has it */
export function resolveImport(path: string, source: string): string {
  return new URL(source, `file:///${path}`).pathname.slice(1);
}

/** @param texts by path; imports of other files are left out */
export function importGraph(texts: ReadonlyMap<string, string>): ImportGraph {
  return new Map(
    [...texts].map(([path, text]) => [
      path,
      new Set(
        importsOf(path, text)
          .map(({ target }) => target)
          .filter((target) => texts.has(target)),
      ),
    ]),
  );
}

/** The graph between what lies directly in `folder`, each of its folders taken as one. */
export function collapse(graph: ImportGraph, folder: string): ImportGraph {
  const collapsed = new Map<string, Set<string>>();
  for (const [path, targets] of graph) {
    const from = childOf(folder, path);
    if (from === null) continue;
    const merged = collapsed.get(from) ?? new Set();
    collapsed.set(from, merged);
    for (const target of targets) {
      const to = childOf(folder, target);
      if (to !== null && to !== from) merged.add(to);
    }
  }
  return collapsed;
}

/** All folders that the files lie in, those above them included. */
export function foldersOf(graph: ImportGraph): string[] {
  const folders = new Set<string>();
  for (const path of graph.keys()) {
    const parts = path.split("/");
    for (let length = 1; length < parts.length; length++) folders.add(parts.slice(0, length).join("/"));
  }
  return [...folders].sort();
}

/** One shortest cycle of every group of nodes that reach each other: [a, b, c] for a -> b -> c -> a. */
export function findCycles(graph: ImportGraph): string[][] {
  return cyclicGroups(graph).map((group) => shortestCycle(graph, new Set(group)));
}

/** The strongly connected components of more than one node [Tarjan, "Depth-first search and linear graph algorithms", 1972]. */
function cyclicGroups(graph: ImportGraph): string[][] {
  const order = new Map<string, number>();
  const stack: string[] = [];
  const groups: string[][] = [];
  /** Returns the lowest position that the node reaches on the stack. */
  const visit = (node: string): number => {
    const own = order.size;
    let low = own;
    order.set(node, own);
    const at = stack.push(node) - 1;
    for (const target of graph.get(node) ?? []) {
      if (!order.has(target)) low = Math.min(low, visit(target));
      else if (stack.includes(target)) low = Math.min(low, order.get(target)!);
    }
    if (low !== own) return low;
    const group = stack.splice(at);
    if (group.length > 1) groups.push(group.sort());
    return low;
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return groups;
}

/** Breadth first from the first of a group, whose members all reach each other. */
function shortestCycle(graph: ImportGraph, group: ReadonlySet<string>): string[] {
  const [start] = group;
  const paths: string[][] = [[start!]];
  const seen = new Set<string>();
  for (const path of paths) {
    for (const target of graph.get(path.at(-1)!) ?? []) {
      if (target === start) return path;
      if (!group.has(target) || seen.has(target)) continue;
      seen.add(target);
      paths.push([...path, target]);
    }
  }
  return [];
}

/** "src/proxy/tcp" for "src/proxy/tcp/flow/flow.ts" in "src/proxy"; null: it is not in the folder. */
function childOf(folder: string, path: string): string | null {
  if (!path.startsWith(`${folder}/`)) return null;
  const end = path.indexOf("/", folder.length + 1);
  return end < 0 ? path : path.slice(0, end);
}
