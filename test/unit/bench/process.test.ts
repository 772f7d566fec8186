import { expect, test } from "bun:test";
import { parseSmapsRollup, parseStat } from "../../bench/process.ts";

test("parseStat finds the fields behind a name with spaces and brackets", () => {
  const line =
    "4711 (nginx: (w) x) S 4710 4711 4711 0 -1 4194368 1523 0 2 0 37 205 0 0 20 0 1 0 912345 13578240 1427 184467";
  expect(parseStat(line)).toEqual({ parentPid: 4710, cpuTicks: 242 });
});

test("parseSmapsRollup reads RSS and PSS in bytes, and not Pss_Dirty", () => {
  const text = `55b7d1443000-7fffe80ba000 ---p 00000000 00:00 0                          [rollup]
Rss:                1636 kB
Pss:                 371 kB
Pss_Dirty:           112 kB
`;
  expect(parseSmapsRollup(text)).toEqual({ rssBytes: 1636 * 1024, pssBytes: 371 * 1024 });
});
