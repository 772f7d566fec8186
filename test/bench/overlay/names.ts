/** Who takes part in the overlay's part of the bench, and in what. */

/** "sealed" is portmesh with `encrypt = true`; the others send in clear, but for nebula and wireguard-go. */
export const contestantNames = [
  "veth",
  "kernel-vxlan",
  "nebula",
  "wireguard-go",
  "portmesh-kernel",
  "portmesh-userspace",
  "portmesh-none",
  "portmesh-kernel-sealed",
  "portmesh-userspace-sealed",
  "portmesh-none-sealed",
] as const;
export type ContestantName = (typeof contestantNames)[number];

/** tunnel: client and task talk over the tunnel's addresses. relay: by way of a published port, where there is one. */
export const overlayWorkloadNames = [
  "tunnel-1",
  "tunnel-4",
  "relay-1",
  "relay-exchange",
  "relay-latency-1",
  "relay-latency-16",
  "tunnel-loss-0.1",
  "tunnel-loss-1",
  "relay-loss-0.1",
  "relay-loss-1",
] as const;
export type OverlayWorkloadName = (typeof overlayWorkloadNames)[number];
