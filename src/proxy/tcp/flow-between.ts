/** Creates the flow from one socket of a connection to the other: plain, sealing or opening. */
import type { RecordKeys } from "../../wire/index.ts";
import { type Flow, OpeningFlow, PlainFlow, SealingFlow } from "./flow/index.ts";
import type { TcpContext } from "./tcp-context.ts";

/** The keys are those of a sealed relay, null for all other sockets; at most one side of a connection is sealed. */
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
