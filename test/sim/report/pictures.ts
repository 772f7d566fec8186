/** The report's pictures, SVG. Pure. */
import type { CrashResult } from "./crash.ts";
import type { PauseResult } from "./pauses.ts";

const WIDTH = 760;
const HEIGHT = 360;
const LEFT = 56;
const RIGHT = 150;
const TOP = 44;
const BOTTOM = 44;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM;
const SWIM_COLOR = "#64748b";
const LIFEGUARD_COLOR = "#e8702a";

interface Line {
  readonly label: string;
  readonly color: string;
  readonly dash: string;
  readonly figureOf: (result: CrashResult) => number;
}

const LINES: readonly Line[] = [
  { label: "all know, p99", color: "#e8702a", dash: "4 3", figureOf: (result) => result.allKnowMs.p99 },
  { label: "all know, p50", color: "#e8702a", dash: "", figureOf: (result) => result.allKnowMs.p50 },
  { label: "first gives up, p50", color: "#64748b", dash: "", figureOf: (result) => result.firstDeadMs.p50 },
  {
    label: "first suspects, p99",
    color: "#3f9c6b",
    dash: "4 3",
    figureOf: (result) => result.firstSuspectMs.p99,
  },
  {
    label: "first suspects, p50",
    color: "#3f9c6b",
    dash: "",
    figureOf: (result) => result.firstSuspectMs.p50,
  },
];

/** Seconds over the size of the cluster, whose axis is logarithmic. */
export function crashPicture(results: readonly CrashResult[]): string {
  const most = Math.max(1_000, ...results.map((result) => result.allKnowMs.p99));
  const logs = results.map(({ members }) => Math.log10(members));
  const [least, range] = [Math.min(...logs), Math.max(0.1, Math.max(...logs) - Math.min(...logs))];
  const x = (members: number) => LEFT + ((Math.log10(members) - least) / range) * PLOT_WIDTH;
  const y = (ms: number) => TOP + PLOT_HEIGHT * (1 - ms / most);
  const paths = LINES.map(({ label, color, dash, figureOf }, index) => {
    const points = results.map(
      (result) => `${x(result.members).toFixed(1)},${y(figureOf(result)).toFixed(1)}`,
    );
    return `<polyline points="${points.join(" ")}" fill="none" stroke="${color}" stroke-width="2" stroke-dasharray="${dash}"/>
<text x="${WIDTH - RIGHT + 14}" y="${TOP + 16 * index + 10}" fill="${color}">${label}</text>`;
  });
  const sizes = results.map(
    ({ members }) => `<text x="${x(members)}" y="${HEIGHT - 22}" text-anchor="middle">${members}</text>`,
  );
  const seconds = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    grid(y(share * most), ((share * most) / 1000).toFixed(1)),
  );
  return frame("A member crashes: seconds until it is known, by size of the cluster", [
    ...seconds,
    ...sizes,
    ...paths,
  ]);
}

/** False deaths of healthy members, in pairs; the axis is logarithmic. */
export function pausePicture(pairs: readonly (readonly [PauseResult, PauseResult])[]): string {
  const most = Math.log10(10 + Math.max(...pairs.flat().map((result) => result.falseDeathsOfHealthy)));
  const height = (count: number) => (PLOT_HEIGHT * Math.log10(1 + count)) / most;
  const step = PLOT_WIDTH / Math.max(1, pairs.length);
  const bars = pairs.flatMap((pair, index) => [
    `<text x="${LEFT + step * (index + 0.5)}" y="${HEIGHT - 22}" text-anchor="middle">C = ${pair[0].paused}, D = ${pair[0].pauseMs / 1000} s</text>`,
    ...pair.map((result, side) => {
      const tall = height(result.falseDeathsOfHealthy);
      const left = LEFT + step * (index + 0.2 + 0.3 * side);
      const top = TOP + PLOT_HEIGHT - tall;
      return `<rect x="${left}" y="${top}" width="${step * 0.28}" height="${tall}" fill="${side === 0 ? SWIM_COLOR : LIFEGUARD_COLOR}"/>
<text x="${left + step * 0.14}" y="${top - 5}" text-anchor="middle">${result.falseDeathsOfHealthy}</text>`;
    }),
  ]);
  const legend = [
    `<text x="${WIDTH - RIGHT + 14}" y="${TOP + 10}" fill="${SWIM_COLOR}">SWIM</text>`,
    `<text x="${WIDTH - RIGHT + 14}" y="${TOP + 26}" fill="${LIFEGUARD_COLOR}">Lifeguard</text>`,
  ];
  return frame("Healthy members taken for dead, of 128 of which C are slow", [
    grid(TOP + PLOT_HEIGHT, "0"),
    ...bars,
    ...legend,
  ]);
}

function grid(y: number, label: string): string {
  return `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${y}" y2="${y}" stroke="#e5e7eb"/>
<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end" fill="#6b7280">${label}</text>`;
}

function frame(title: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" \
font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="#1f2937">
<title>${title}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
<text x="${LEFT}" y="24" font-size="15" font-weight="600">${title}</text>
${parts.join("\n")}
</svg>
`;
}
