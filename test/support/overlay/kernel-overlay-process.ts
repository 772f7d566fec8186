/** The kernel driver in a process of its own. */
import { resolve } from "node:path";
import { KernelOverlay, type KernelOverlayOptions, type OverlayEnd } from "../../../src/overlay/index.ts";
import { type ApplyRequest, answerRequests, type DriverAnswer, DriverProcess } from "./driver-process.ts";

const SELF = resolve("test/support/overlay/kernel-overlay-process.ts");

type KernelRequest =
  | { readonly do: "open"; readonly end: OverlayEnd; readonly options: KernelOverlayOptions }
  | { readonly do: "setMtu"; readonly mtuBytes: number | null }
  | { readonly do: "removeLeftover"; readonly end: OverlayEnd; readonly owner: string };

export class KernelOverlayProcess extends DriverProcess<KernelRequest> {
  /** @param wrapper in front of the command */
  constructor(wrapper: readonly string[]) {
    super(SELF, wrapper);
  }

  open(end: OverlayEnd, owner: string, mtuBytes?: number): Promise<DriverAnswer> {
    return this.ask({ do: "open", end, options: { owner, ...(mtuBytes !== undefined && { mtuBytes }) } });
  }

  setMtu(mtuBytes: number | null): Promise<DriverAnswer> {
    return this.ask({ do: "setMtu", mtuBytes });
  }

  removeLeftover(end: OverlayEnd, owner: string): Promise<DriverAnswer> {
    return this.ask({ do: "removeLeftover", end, owner });
  }
}

async function run(): Promise<void> {
  let overlay: KernelOverlay | null = null;
  await answerRequests<KernelRequest | ApplyRequest | { do: "close" }>((request) => {
    let refused: ReturnType<KernelOverlay["apply"]>["refused"] = [];
    if (request.do === "open") overlay = KernelOverlay.open(request.end, request.options);
    else if (request.do === "removeLeftover") KernelOverlay.removeLeftover(request.end, request);
    else if (request.do === "apply") refused = overlay!.apply(request.peers, new Map(request.mtus)).refused;
    else if (request.do === "setMtu") overlay!.setMtu(request.mtuBytes);
    else overlay!.close();
    return { refused, mtuBytes: overlay?.mtuBytes ?? 0 };
  });
}

if (import.meta.main) await run();
