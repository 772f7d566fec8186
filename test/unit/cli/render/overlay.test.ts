import { expect, test } from "bun:test";
import { renderOverlay } from "../../../../src/cli/render/overlay.ts";
import { DIRECT, overlayPeer, overlayStatus } from "../../../support/node/overlay-status.ts";

test("a line for this node's end, a row for each other node", () => {
  const peers = [overlayPeer("edge-2"), overlayPeer("edge-3", DIRECT)];
  expect(renderOverlay(overlayStatus({ peers }))).toEqual([
    "overlay userspace  10.200.3.4 on portmesh4789, VNI 4096, port 4789/udp, encrypted",
    "  NODE    DRIVER     ADDRESS     PATH     ENCRYPTED  KEY AGE   MTU    RTT  LOSS  REJECTED",
    "  edge-2  userspace  10.200.9.9  overlay  frames        1m5s  1422  0.4ms  0.0%  -",
    "  edge-3  none       -           direct   relays           -     -      -     -  -",
  ]);
});

test("faults are shown in words", () => {
  const peers = [
    overlayPeer("b", {
      problem: "overlay.vni is 1 here, 2 there",
      rejectedTotal: { replay: 3, "bad-tag": 7 },
    }),
    overlayPeer("c", { encryption: "none", notes: ["segmentation refused: single datagrams"] }),
  ];
  const passedOver = [{ name: "kernel" as const, reason: "this kernel has no vxlan" }];
  const text = renderOverlay(overlayStatus({ peers, passedOver, rejectedTotal: { "wrong-vni": 4 } })).join(
    "\n",
  );
  for (const part of [
    "  no kernel driver: this kernel has no vxlan",
    "7 bad-tag, 3 replay",
    "  b: overlay.vni is 1 here, 2 there",
    "overlay  NO ",
    "  c: segmentation refused: single datagrams",
    "  frames from unknown senders dropped: 4 wrong-vni",
  ])
    expect(text).toContain(part);
});

test("without a driver", () => {
  const none = overlayStatus({ driver: "none", address: null, device: null, encrypt: false });
  expect(renderOverlay(none)).toEqual(["overlay none  relays use node addresses, not encrypted"]);
});
