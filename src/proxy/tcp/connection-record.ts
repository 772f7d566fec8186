/** The log record of a finished connection. */
import { type Endpoint, formatHostPort } from "../../wire/index.ts";
import type { Route } from "../table/route.ts";
import { formatEndpoint } from "../table/socket-address.ts";
import type { ConnectionRecord } from "../table/status.ts";
import type { Target } from "../table/target.ts";

export interface ConnectionEnd {
  readonly target: Target | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly reason: string;
}

export function connectionRecord(route: Route, client: Endpoint, end: ConnectionEnd): ConnectionRecord {
  const { target, durationMs, ...rest } = end;
  return {
    service: route.rules.name,
    published: route.published,
    client: formatEndpoint(client),
    task: target === null ? null : formatHostPort(target.address, target.port),
    durationMs: Math.round(durationMs * 10) / 10,
    ...rest,
  };
}
