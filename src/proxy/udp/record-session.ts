/** Writes the record of a UDP session that ends. */
import { createEndpoint } from "../../wire/index.ts";
import { type EndReason, STAGE_DATA } from "../table/connection-record.ts";
import { openClients, S_UDP_OPEN, SERVICE_FIELDS, sumRows } from "../table/counters.ts";
import type { KeyLayout } from "./client-key.ts";
import type { UdpSession } from "./session.ts";
import type { UdpContext } from "./udp-context.ts";

/** The socket that its client sent to. */
interface RecordedListener {
  readonly layout: KeyLayout;
  /** Its address, in UTF-8. */
  readonly text: Uint8Array;
}

/** While it is still counted as open. */
export function recordSession(
  { worker, loop }: UdpContext,
  { layout, text }: RecordedListener,
  published: number,
  session: UdpSession,
  reason: EndReason,
): void {
  const { counters, recorder } = worker;
  const { end } = recorder;
  const { rules, target, key } = session;
  const peer = createEndpoint();
  layout.readPeer(key, peer);
  const named = createEndpoint();
  end.isUdp = true;
  end.reason = reason;
  end.stage = STAGE_DATA;
  end.errno = session.errno;
  end.peer = peer;
  end.client = layout.readNamed(key, named, createEndpoint()) ? named : peer;
  end.published = published;
  end.attempts = 1 + session.moves;
  end.hedges = 0;
  end.open = openClients(counters);
  end.serviceOpen = sumRows(counters.services, rules.slot * SERVICE_FIELDS + S_UDP_OPEN);
  end.taskOpen = target.openConnections();
  end.durationMs = loop.nowMs - session.openedMs;
  end.acceptedAt = Date.now() - end.durationMs;
  end.waitMs = end.connectMs = 0;
  end.bytesIn = session.bytesIn;
  end.bytesOut = session.bytesOut;
  end.datagramsIn = session.datagramsIn;
  end.datagramsOut = session.datagramsOut;
  end.service = rules.text;
  end.listen = text;
  end.task = target.text;
  recorder.write();
}
