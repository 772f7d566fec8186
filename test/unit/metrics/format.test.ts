import { describe, expect, test } from "bun:test";
import { acceptsGzip, contentType, formatFor } from "../../../src/metrics/format.ts";

describe("formatFor", () => {
  test.each([
    [
      "what Prometheus 2.42 sends",
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "openmetrics",
    ],
    [
      "what Prometheus 3 sends",
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5,*/*;q=0.2",
      "openmetrics",
    ],
    ["curl", "*/*", "text"],
    ["no header", null, "text"],
    ["an empty header", "", "text"],
    ["text preferred", "application/openmetrics-text;q=0.4, text/plain;q=0.5", "text"],
    ["OpenMetrics refused", "application/openmetrics-text;q=0", "text"],
    ["a version that does not exist yet", "application/openmetrics-text;version=9.0.0,text/plain", "text"],
    ["upper case and spaces", " Application/OpenMetrics-Text ; Version=1.0.0 ", "openmetrics"],
    ["a quality that is no number", "application/openmetrics-text;q=x", "openmetrics"],
    ["only separators", ",;,=;q", "text"],
  ] as const)("%s", (_what, accept, expected) => {
    expect(formatFor(accept)).toBe(expected);
  });

  test("each format has the content type that its version demands", () => {
    expect(contentType("text")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(contentType("openmetrics")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
  });
});

test.each([
  ["gzip", true],
  ["deflate, GZIP;q=0.5", true],
  ["gzip;q=0", false],
  ["*", true],
  ["*;q=0", false],
  ["*, gzip;q=0", false],
  ["br", false],
  ["", false],
  [null, false],
] as const)("accept-encoding %p: gzip is accepted: %p", (accepted, expected) => {
  expect(acceptsGzip(accepted)).toBe(expected);
});
