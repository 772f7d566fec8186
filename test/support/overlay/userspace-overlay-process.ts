/** The userspace driver in a process of its own. */
import { resolve } from "node:path";
import {
  type OverlayEnd,
  type PeerCounts,
  UserspaceOverlay,
  type UserspaceOverlayOptions,
} from "../../../src/overlay/index.ts";
import { type ApplyRequest, answerRequests, type DriverAnswer, DriverProcess } from "./driver-process.ts";

const SELF = resolve("test/support/overlay/userspace-overlay-process.ts");

type UserspaceRequest =
  | { readonly do: "open"; readonly end: OverlayEnd; readonly options: UserspaceOverlayOptions }
  /** "": what no peer can be blamed for */
  | { readonly do: "count"; readonly name: string };

export class UserspaceOverlayProcess extends DriverProcess<UserspaceRequest> {
  /** @param wrapper in front of the command */
  constructor(wrapper: readonly string[]) {
    super(SELF, wrapper);
  }

  open(end: OverlayEnd, options: Partial<UserspaceOverlayOptions> = {}): Promise<DriverAnswer> {
    return this.ask({ do: "open", end, options: { owner: "test/node", ...options } });
  }

  /** Of a peer, or of nobody. */
  async counts(name = ""): Promise<PeerCounts> {
    return (await this.ask({ do: "count", name })).counts!;
  }
}

async function run(): Promise<void> {
  let overlay!: UserspaceOverlay;
  await answerRequests<UserspaceRequest | ApplyRequest | { do: "close" }>(async (request) => {
    switch (request.do) {
      case "open":
        overlay = UserspaceOverlay.open(request.end, request.options);
        return { mtuBytes: overlay.mtuBytes };
      case "apply": {
        const { refused, applied } = overlay.apply(request.peers, new Map(request.mtus));
        await applied;
        return { refused, mtuBytes: overlay.mtuBytes };
      }
      case "count":
        return { counts: request.name === "" ? overlay.counts : overlay.countsOf(request.name) };
      case "close":
        await overlay.close();
        return {};
    }
  });
}

if (import.meta.main) await run();
