/** Sending a change: the flag a refusal is about is named, and ports this node cannot open are not kept quiet. */

import { type ClusterClient, RefusedByNode } from "../../client/cluster-client.ts";
import type { Invocation } from "../../invocation.ts";
import type { FlagSources } from "./sources.ts";

export async function sendChange(sources: FlagSources, send: () => Promise<unknown>): Promise<void> {
  try {
    await send();
  } catch (error) {
    if (!(error instanceof RefusedByNode)) throw error;
    throw new RefusedByNode(error.refusal, sources.explain(error.refusal));
  }
}

/** The service is published on other nodes, so this is a warning. */
export async function warnOfBindErrors(
  client: ClusterClient,
  service: string,
  invocation: Invocation,
): Promise<void> {
  const self = (await client.nodes()).find((node) => node.isSelf);
  const errors = self?.bindErrors.filter((error) => error.service === service) ?? [];
  for (const { error } of errors) invocation.complain(`warning: ${self?.name}: ${error}\n`);
}
