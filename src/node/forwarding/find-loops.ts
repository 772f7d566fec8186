/**
 * Which edges of a directed graph to leave out so that no walk comes back to where it was. Pure.
 *
 * Only edges inside a strongly connected component can lead back. Of those, an edge stays that brings the walk nearer to
 * an exit, a vertex from which something outside the graph is reached: a chain that ends somewhere keeps working, and
 * every vertex that can reach an exit still does. All others are left out. What stays has no circle, because the
 * distance to an exit falls along it, and the answer depends on nothing but the graph: every node finds the same.
 */

/** Vertices are 0 … count - 1. */
export interface Graph<E extends Edge> {
  readonly count: number;
  readonly edges: readonly E[];
  /** Whether a walk may end well at the vertex. */
  readonly isExit: (vertex: number) => boolean;
}

export interface Edge {
  readonly from: number;
  readonly to: number;
}

export interface FoundLoop<E extends Edge> {
  readonly edge: E;
  /** From the edge back to its `from`: the edge first. */
  readonly path: readonly E[];
}

/** Limit of the vertices from which loop paths are searched; other loops are reported by their first edge. */
const MAX_PATH_STARTS = 256;

export function findLoops<E extends Edge>(graph: Graph<E>): FoundLoop<E>[] {
  if (graph.edges.length === 0) return [];
  const outgoing = edgesBy(graph, (edge) => edge.from);
  const component = componentsOf(graph.count, outgoing);
  const distance = distancesToExit(graph);
  const loops = graph.edges.filter(
    ({ from, to }) => component[from] === component[to] && !(distance[to]! < distance[from]!),
  );
  const incoming = edgesBy(graph, (edge) => edge.to);
  const waysBack = new Map<number, (E | undefined)[]>();
  return loops.map((edge) => {
    if (edge.from === edge.to) return { edge, path: [edge] };
    let way = waysBack.get(edge.from);
    if (way === undefined && waysBack.size < MAX_PATH_STARTS) {
      way = waysTo(edge.from, incoming, component);
      waysBack.set(edge.from, way);
    }
    return { edge, path: way === undefined ? [edge] : followed(edge, way) };
  });
}

function edgesBy<E extends Edge>({ count, edges }: Graph<E>, vertexOf: (edge: E) => number): E[][] {
  const lists = Array.from({ length: count }, (): E[] => []);
  for (const edge of edges) lists[vertexOf(edge)]!.push(edge);
  return lists;
}

/** By vertex: the number of its strongly connected component. Tarjan's algorithm, with a stack of its own. */
function componentsOf(count: number, outgoing: readonly (readonly Edge[])[]): Int32Array {
  const component = new Int32Array(count).fill(-1);
  const index = new Int32Array(count).fill(-1);
  const low = new Int32Array(count);
  const next = new Int32Array(count);
  const open: number[] = [];
  const walk: number[] = [];
  let indexes = 0;
  let components = 0;
  const enter = (vertex: number) => {
    index[vertex] = low[vertex] = indexes++;
    open.push(vertex);
    walk.push(vertex);
  };
  const leave = (vertex: number) => {
    walk.pop();
    const parent = walk.at(-1);
    if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[vertex]!);
    if (low[vertex] !== index[vertex]) return;
    for (let member = -1; member !== vertex; ) component[(member = open.pop()!)] = components;
    components++;
  };
  for (let start = 0; start < count; start++) {
    if (index[start] === -1) enter(start);
    while (walk.length > 0) {
      const vertex = walk.at(-1)!;
      const edge = outgoing[vertex]![next[vertex]!++];
      if (edge === undefined) leave(vertex);
      else if (index[edge.to] === -1) enter(edge.to);
      else if (component[edge.to] === -1) low[vertex] = Math.min(low[vertex]!, index[edge.to]!);
    }
  }
  return component;
}

/** By vertex: edges to the nearest exit; Infinity where none is reached. */
function distancesToExit<E extends Edge>(graph: Graph<E>): number[] {
  const incoming = edgesBy(graph, (edge) => edge.to);
  const distance = Array.from({ length: graph.count }, (_, vertex) =>
    graph.isExit(vertex) ? 0 : Number.POSITIVE_INFINITY,
  );
  const queue = [...distance.keys()].filter((vertex) => distance[vertex] === 0);
  for (let at = 0; at < queue.length; at++) {
    const vertex = queue[at]!;
    for (const { from } of incoming[vertex]!) {
      if (distance[from] !== Number.POSITIVE_INFINITY) continue;
      distance[from] = distance[vertex]! + 1;
      queue.push(from);
    }
  }
  return distance;
}

/** By vertex of the same component: the first edge of a shortest way to `goal`. */
function waysTo<E extends Edge>(
  goal: number,
  incoming: readonly (readonly E[])[],
  component: Int32Array,
): (E | undefined)[] {
  const first: (E | undefined)[] = [];
  const queue = [goal];
  for (let at = 0; at < queue.length; at++) {
    for (const edge of incoming[queue[at]!]!) {
      const { from } = edge;
      if (from === goal || component[from] !== component[goal] || first[from] !== undefined) continue;
      first[from] = edge;
      queue.push(from);
    }
  }
  return first;
}

function followed<E extends Edge>(edge: E, way: readonly (E | undefined)[]): E[] {
  const path = [edge];
  for (let next = way[edge.to]; next !== undefined; next = way[next.to]) path.push(next);
  return path;
}
