/** What `inspectEnd` finds in a network namespace. With an argument this file is the process that looks. */
import { resolve } from "node:path";
import {
  type EndProblem,
  type InspectedPeer,
  inspectEnd,
  type OverlayEnd,
} from "../../../src/overlay/index.ts";
import type { NetworkNode } from "../network/network-node.ts";

const SELF = resolve("test/support/overlay/inspect-process.ts");

type Question = readonly [end: OverlayEnd, owner: string, peers: readonly InspectedPeer[]];

export async function inspectIn(machine: NetworkNode, ...question: Question): Promise<readonly EndProblem[]> {
  return JSON.parse(await machine.run(process.execPath, SELF, JSON.stringify(question)));
}

if (import.meta.main) {
  const question = JSON.parse(process.argv[2]!) as Question;
  console.log(JSON.stringify(inspectEnd(...question)));
}
