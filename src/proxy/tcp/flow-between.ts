/** Chooses how bytes get from one socket of a connection to the other: as they are, sealed on the way out, opened. */
import type { RecordKeys } from "../../wire/index.ts";
import { type Flow, OpeningFlow, PlainFlow, SealingFlow } from "./flow/index.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Keys of a side that is another node's sealed relay, null of all others: a connection has one such side at most. */
export function createFlow(
  context: TcpContext,
  sourceFd: number,
  sourceKeys: RecordKeys | null,
  destinationFd: number,
  destinationKeys: RecordKeys | null,
): Flow {
  const { resources } = context;
  if (sourceKeys !== null)
    return new OpeningFlow(resources, sourceFd, destinationFd, sourceKeys.opener, context.onForgedRecord);
  if (destinationKeys !== null)
    return new SealingFlow(resources, sourceFd, destinationFd, destinationKeys.sealer);
  return new PlainFlow(resources, sourceFd, destinationFd);
}
