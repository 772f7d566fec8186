/**
 * Adjacent ports reported together: a range of ten thousand ports fails, opens and closes for one reason, in one line.
 * Pure.
 */

interface Report {
  readonly service: string;
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  /** Why it is not open; null: it is. */
  readonly error: string | null;
}

export interface ListenerRange<R extends Report = Report> {
  /** Of the first port. */
  readonly first: R;
  readonly lastPort: number;
  /** Of `first`, with the range in the place of its port. */
  readonly error: string | null;
}

/** Ports of one service, protocol, address and reason that follow each other. */
export function rangesOf<R extends Report>(reports: readonly R[]): ListenerRange<R>[] {
  const groups = Map.groupBy(reports, ({ service, protocol, address, port, error }) =>
    [service, protocol, address, error?.replaceAll(String(port), "PORT")].join("\0"),
  );
  return [...groups.values()].flatMap((group) => {
    const sorted = [...group].sort((one, other) => one.port - other.port);
    const runs = splitRuns(sorted, (report) => report.port);
    return runs.map((run) => rangeOf(run[0]!, run.at(-1)!.port));
  });
}

/** "tcp 0.0.0.0:8080" and its neighbours become "tcp 0.0.0.0:8080-8089"; what is not of this form stays as it is. */
export function collapseListeners(listeners: readonly string[]): string[] {
  const parsed = listeners.map((text) => {
    const [, place = text, port] = /^(.*):(\d+)$/.exec(text) ?? [];
    return { text, place, port: Number(port ?? Number.NaN) };
  });
  const groups = Map.groupBy(parsed, ({ place }) => place);
  return [...groups.values()].flatMap((group) => {
    const runs = splitRuns(
      [...group].sort((one, other) => one.port - other.port),
      ({ port }) => port,
    );
    return runs.map((run) => (run.length === 1 ? run[0]!.text : `${run[0]!.text}-${run.at(-1)!.port}`));
  });
}

function rangeOf<R extends Report>(first: R, lastPort: number): ListenerRange<R> {
  if (first.port === lastPort) return { first, lastPort, error: first.error };
  return {
    first,
    lastPort,
    error: first.error?.replace(`:${first.port}`, `:${first.port}-${lastPort}`) ?? null,
  };
}

function splitRuns<T>(sorted: readonly T[], portOf: (item: T) => number): T[][] {
  const runs: T[][] = [];
  for (const item of sorted) {
    const run = runs.at(-1);
    if (run !== undefined && portOf(run.at(-1)!) + 1 === portOf(item)) run.push(item);
    else runs.push([item]);
  }
  return runs;
}
