/** Whether what a contestant carries can be read on the cable: a figure for encryption that did not take place is none. */
import type { RunningContestant } from "./contestants/contestant.ts";
import { type Site, transferOverlay } from "./measure.ts";
import type { OverlayWorkload, Traffic } from "./workloads.ts";

const SECONDS = 1;
/** Messages long enough for packets in which headers end long before the place that is looked at. */
const TRAFFIC: Traffic = { kind: "exchange", messageBytes: 65_536, connections: 1 };

/** Sends messages of one known byte and looks for it in what arrives, at both ends. */
export async function isReadable(
  site: Site,
  contestant: RunningContestant,
  via: OverlayWorkload["via"],
): Promise<boolean> {
  site.link.watchText();
  await transferOverlay(site, contestant, { via, traffic: TRAFFIC }, SECONDS);
  return site.link.readablePackets() > 0;
}
