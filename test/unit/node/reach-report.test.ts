import { expect, test } from "bun:test";
import { type ClosedPorts, ReachReport } from "../../../src/node/reach-report.ts";

function reportOf(...looks: readonly (readonly string[])[]): string[] {
  const lines: string[] = [];
  const log = {
    portsClosed: ({ ports }: ClosedPorts) => lines.push(`closed ${ports.join(" ")}`),
    portsOpened: ({ ports }: ClosedPorts) => lines.push(`opened ${ports.join(" ")}`),
  };
  const report = new ReachReport({ onReach: () => undefined, log });
  for (const ports of looks) {
    report.report({ closed: ports.length === 0 ? [] : [{ service: "range", ports }], down: [] }, () => true);
  }
  return lines;
}

test("only the ports that have changed are logged, whatever ranges they are part of", () => {
  expect(
    reportOf(
      ["6000-6001/udp", "6003/udp"],
      ["6000-6004/udp"],
      ["6000-6004/udp"],
      ["6001-6004/udp", "6000/tcp"],
      [],
    ),
  ).toEqual([
    "closed 6000-6001/udp 6003/udp",
    "closed 6002/udp 6004/udp",
    "closed 6000/tcp",
    "opened 6000/udp",
    "opened 6001-6004/udp 6000/tcp",
  ]);
});
