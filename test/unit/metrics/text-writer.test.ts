import { describe, expect, test } from "bun:test";
import { bucketLabels, labelsOf, lastLabel, TextWriter } from "../../../src/metrics/text-writer.ts";

const COUNTER = { name: "app_requests_total", type: "counter", help: "Requests." } as const;
const GAUGE = { name: "app_open", type: "gauge", help: "Open." } as const;
const HISTOGRAM = { name: "app_time_seconds", type: "histogram", help: "Time." } as const;

function write(format: "text" | "openmetrics", work: (writer: TextWriter) => void): string {
  const writer = new TextWriter(format);
  work(writer);
  return new TextDecoder().decode(writer.take());
}

describe("families", () => {
  const both = (writer: TextWriter) => {
    writer.family(COUNTER);
    writer.bareSample(3);
    writer.family(GAUGE);
    writer.sample(labelsOf({ a: "x" }), 4);
    writer.end();
  };

  test("in the text format a counter's family has the name of its samples", () => {
    expect(write("text", both)).toBe(
      `# HELP app_requests_total Requests.
# TYPE app_requests_total counter
app_requests_total 3
# HELP app_open Open.
# TYPE app_open gauge
app_open{a="x"} 4
`,
    );
  });

  test("in OpenMetrics the family lacks _total, and the last line says that it is the last", () => {
    expect(write("openmetrics", both)).toBe(
      `# HELP app_requests Requests.
# TYPE app_requests counter
app_requests_total 3
# HELP app_open Open.
# TYPE app_open gauge
app_open{a="x"} 4
# EOF
`,
    );
  });

  test("the buckets of a histogram are cumulative, the last has no bound", () => {
    const bounds = bucketLabels([0.005, 1, Number.POSITIVE_INFINITY]);
    const counts = new Float64Array([9, 2, 0, 3, 9]);
    expect(
      write("text", (writer) => {
        writer.family(HISTOGRAM);
        writer.histogram(labelsOf({ a: "x" }), counts, 1, bounds, 4.5);
      }),
    ).toBe(
      `# HELP app_time_seconds Time.
# TYPE app_time_seconds histogram
app_time_seconds_bucket{a="x",le="0.005"} 2
app_time_seconds_bucket{a="x",le="1"} 2
app_time_seconds_bucket{a="x",le="+Inf"} 5
app_time_seconds_sum{a="x"} 4.5
app_time_seconds_count{a="x"} 5
`,
    );
  });
});

describe("escaping", () => {
  const hostile = 'a\\b"c\nd{}=,é\u0000';

  test.each(["text", "openmetrics"] as const)("of labels as %s", (format) => {
    const text = write(format, (writer) => {
      writer.family(GAUGE);
      writer.sample(labelsOf({ one: hostile, two: 2 }), 1, lastLabel("three", hostile));
    });
    const escaped = 'a\\\\b\\"c\\nd{}=,é\u0000';
    expect(text.split("\n")[2]).toBe(`app_open{one="${escaped}",two="2",three="${escaped}"} 1`);
  });

  test("of help texts: quotes in OpenMetrics only", () => {
    const help = 'a \\ b\nc "d"';
    const first = (format: "text" | "openmetrics") =>
      write(format, (writer) => writer.family({ ...GAUGE, help })).split("\n")[0];
    expect(first("text")).toBe('# HELP app_open a \\\\ b\\nc "d"');
    expect(first("openmetrics")).toBe('# HELP app_open a \\\\ b\\nc \\"d\\"');
  });
});

test.each([
  [0, "0"],
  [7, "7"],
  [10, "10"],
  [99, "99"],
  [100, "100"],
  [1_234_567_890, "1234567890"],
  [Number.MAX_SAFE_INTEGER, "9007199254740991"],
  [2 ** 60, "1152921504606847000"],
  [-3, "-3"],
  [0.25, "0.25"],
  [1e-9, "1e-9"],
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
])("the number %p is written as %s", (value, expected) => {
  const text = write("text", (writer) => {
    writer.family(GAUGE);
    writer.bareSample(value);
  });
  expect(text.split("\n")[2]).toBe(`app_open ${expected}`);
});

test("every power of ten and its neighbours has its digits", () => {
  const values = Array.from({ length: 16 }, (_, power) => 10 ** power).flatMap((value) => [
    value - 1,
    value,
    value + 1,
  ]);
  const text = write("text", (writer) => {
    writer.family(GAUGE);
    for (const value of values) writer.bareSample(value);
  });
  expect(text.trimEnd().split("\n").slice(2)).toEqual(values.map((value) => `app_open ${value}`));
});

test("what is taken in parts is the same as what is taken at once, also when a line is longer than a part", () => {
  const labels = labelsOf({ a: "x".repeat(400_000) });
  const parts: string[] = [];
  const writer = new TextWriter("text");
  const work = (each: TextWriter, taken: () => void) => {
    each.family(GAUGE);
    for (let index = 0; index < 5; index++) {
      each.sample(labels, index);
      if (each.isFull) taken();
    }
    taken();
  };
  work(writer, () => parts.push(new TextDecoder().decode(writer.take())));
  expect(parts.length).toBeGreaterThan(1);
  expect(parts.join("") === write("text", (each) => work(each, () => undefined))).toBe(true);
});
