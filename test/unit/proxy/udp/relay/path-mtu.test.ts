import { expect, test } from "bun:test";
import { PathMtu, UNLIMITED } from "../../../../../src/proxy/udp/relay/path-mtu.ts";

const OVERHEAD_BYTES = 28;
const ROUND_MS = 1000;

/** Rounds of a relay that is in use, over a path that carries packets of up to `mtu` bytes. */
class Path {
  readonly size: PathMtu;
  /** Datagrams that the other end does not get, of those that fit. */
  isLost: (payloadBytes: number) => boolean = () => false;
  answers = true;
  #nowMs = 0;

  constructor(
    public mtu = 1500,
    localMtu = 1500,
  ) {
    this.size = new PathMtu(OVERHEAD_BYTES, localMtu);
  }

  run(rounds: number, isUsed = true): number {
    let probes = 0;
    for (let round = 0; round < rounds; round++) {
      if (isUsed) this.size.isUsed = true;
      for (const size of this.size.poll((this.#nowMs += ROUND_MS))) {
        probes++;
        if (this.answers && size + OVERHEAD_BYTES <= this.mtu && !this.isLost(size))
          this.size.onAnswered(size);
      }
    }
    return probes;
  }
}

test("a path that carries what the interface takes has no limit, and costs two probes a second in use", () => {
  const path = new Path();
  expect(path.run(100)).toBe(200);
  expect(path.size.maxBytes).toBe(UNLIMITED);
});

test("nothing is probed where nothing large is sent", () => {
  const path = new Path(1280);
  path.run(10);
  path.run(10, false);
  expect(path.run(100, false)).toBe(0);
});

test.each([
  [1280, 1280],
  [1400, 1400],
  [1444, 1400],
  [1200, 1200],
])("a black hole above %d bytes is found within three rounds: %d", (mtu, limit) => {
  const path = new Path();
  path.run(10);
  path.mtu = mtu;
  path.run(3);
  expect(path.size.maxBytes).toBe(limit - OVERHEAD_BYTES);
  path.mtu = 1200;
  path.run(3);
  expect(path.size.maxBytes).toBe(1200 - OVERHEAD_BYTES);
});

test("one large datagram is enough to find it", () => {
  const path = new Path(1280);
  path.run(1);
  path.run(5, false);
  expect(path.size.maxBytes).toBe(1280 - OVERHEAD_BYTES);
});

test("a path that is wide again is found so within a minute or so", () => {
  const path = new Path(1280);
  path.run(5);
  path.mtu = 1500;
  path.run(65);
  expect(path.size.maxBytes).toBe(UNLIMITED);
});

test("a single loss, an end that is away and one that does not know probes change nothing", () => {
  const path = new Path();
  path.isLost = (size) => size > 1200;
  path.run(1);
  path.isLost = () => false;
  path.run(10);
  path.answers = false;
  path.run(10);
  expect(path.size.maxBytes).toBe(UNLIMITED);
});

test("jumbo frames are probed as such, at both ends", () => {
  const path = new Path(1500, 9000);
  path.run(5);
  expect(path.size.maxBytes).toBe(1492 - OVERHEAD_BYTES);
  const exit = new Path(1500);
  exit.size.onAsked(9000 - OVERHEAD_BYTES);
  exit.run(5);
  expect(exit.size.maxBytes).toBe(1492 - OVERHEAD_BYTES);
});
