/** Every contestant by name. */
import type { ContestantName } from "../names.ts";
import type { Contestant } from "./contestant.ts";
import { kernelVxlan, plainVeth } from "./in-kernel.ts";
import { nebula } from "./nebula.ts";
import { portmeshContestant } from "./portmesh.ts";
import { wireguardGo } from "./wireguard-go.ts";

export const contestants: Readonly<Record<ContestantName, Contestant>> = {
  veth: plainVeth,
  "kernel-vxlan": kernelVxlan,
  nebula,
  "wireguard-go": wireguardGo,
  "portmesh-kernel": portmeshContestant("kernel", false),
  "portmesh-userspace": portmeshContestant("userspace", false),
  "portmesh-none": portmeshContestant("none", false),
  "portmesh-kernel-sealed": portmeshContestant("kernel", true),
  "portmesh-userspace-sealed": portmeshContestant("userspace", true),
  "portmesh-none-sealed": portmeshContestant("none", true),
};
