/** Writes the record of a TCP connection that ends. */
import type { Endpoint } from "../../wire/index.ts";
import { STAGE_HEADER } from "../table/connection-record.ts";
import { openClients } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import type { Client, CloseReason } from "./client.ts";
import type { TcpContext } from "./tcp-context.ts";

/** What is recorded of a client. */
interface RecordedClient
  extends Pick<
    Client,
    | "context"
    | "route"
    | "endpoint"
    | "startedMs"
    | "dialedMs"
    | "connectedMs"
    | "stage"
    | "errno"
    | "attempts"
    | "hedges"
    | "taskText"
  > {
  readonly peer: Endpoint;
  readonly listener: { readonly text: Uint8Array };
}

/** While it is still counted as open. @param target that has accepted; null: none */
export function recordEnd(
  client: RecordedClient,
  reason: CloseReason,
  target: Target | null,
  bytesIn: number,
  bytesOut: number,
): void {
  const { context, route, startedMs, dialedMs, connectedMs } = client;
  const { worker, loop } = context;
  const { end } = worker.recorder;
  fillEnd(context, route, client.endpoint, client.listener.text);
  end.reason = reason;
  end.stage = client.stage;
  end.errno = client.errno;
  end.peer = client.peer;
  end.attempts = client.attempts;
  end.hedges = client.hedges;
  end.taskOpen = target === null ? 0 : target.openConnections();
  end.durationMs = loop.nowMs - startedMs;
  end.acceptedAt -= end.durationMs;
  end.waitMs = dialedMs < 0 ? -1 : dialedMs - startedMs;
  end.connectMs = connectedMs < 0 ? -1 : connectedMs - dialedMs;
  end.bytesIn = bytesIn;
  end.bytesOut = bytesOut;
  end.task = client.taskText;
  worker.recorder.write();
}

/** Of a client that was refused as soon as it was accepted. */
export function recordRefused(
  context: TcpContext,
  reason: CloseReason,
  route: Route,
  client: Endpoint,
  listen: Uint8Array,
): void {
  const { recorder } = context.worker;
  const { end } = recorder;
  fillEnd(context, route, client, listen);
  end.reason = reason;
  end.stage = STAGE_HEADER;
  end.errno = end.attempts = end.hedges = end.taskOpen = 0;
  end.durationMs = end.bytesIn = end.bytesOut = 0;
  end.waitMs = end.connectMs = -1;
  end.task = null;
  recorder.write();
}

/** What is the same for all; `acceptedAt` is now. */
function fillEnd(
  { worker }: TcpContext,
  { rules, published }: Route,
  client: Endpoint,
  listen: Uint8Array,
): void {
  const { counters, recorder } = worker;
  const { end } = recorder;
  end.isUdp = false;
  end.datagramsIn = end.datagramsOut = 0;
  end.client = end.peer = client;
  end.published = published;
  end.service = rules.text;
  end.listen = listen;
  end.open = openClients(counters);
  end.serviceOpen = counters.open[rules.slot]!;
  end.acceptedAt = Date.now();
}
