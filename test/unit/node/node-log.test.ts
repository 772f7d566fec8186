/** What the log says of ports: never a line as long as a port range. */
import { expect, test } from "bun:test";
import { NodeLog } from "../../../src/node/node-log.ts";
import { recordingLog } from "../../support/node/recording-log.ts";

test("of many ranges that close the first ones are named and the others counted", () => {
  const { log, lines } = recordingLog();
  const ports = Array.from({ length: 300 }, (_, index) => `${10_000 + 2 * index}/udp`);
  new NodeLog(log).portsClosed({ service: "rtp", ports });
  new NodeLog(log).portsOpened({ service: "rtp", ports: ports.slice(0, 8) });
  expect(lines).toEqual([
    'warn service "rtp": 10000/udp, 10002/udp, 10004/udp, 10006/udp, 10008/udp, 10010/udp, 10012/udp, 10014/udp, and 292 more closed: no reachable task',
    'info service "rtp": 10000/udp, 10002/udp, 10004/udp, 10006/udp, 10008/udp, 10010/udp, 10012/udp, 10014/udp no longer closed',
  ]);
});
