/** Every contestant by name. */
import type { Contestant, ContestantName } from "./contestant.ts";
import { kernelVxlan, plainVeth } from "./in-kernel.ts";
import { nebula } from "./nebula.ts";
import { wireguardGo } from "./wireguard-go.ts";

export const contestants: Readonly<Partial<Record<ContestantName, Contestant>>> = {
  veth: plainVeth,
  "kernel-vxlan": kernelVxlan,
  nebula,
  "wireguard-go": wireguardGo,
};
