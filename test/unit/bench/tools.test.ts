/** The load tools' output, from (shortened) captures of iperf3 3.12, wrk 4.1.0 and dnsperf 2.10.0. */
import { describe, expect, test } from "bun:test";
import { parseDnsperf } from "../../bench/tools/dnsperf.ts";
import { parseIperf3 } from "../../bench/tools/iperf3.ts";
import { parseWrk } from "../../bench/tools/wrk.ts";

const iperf3Capture = `{
	"start":	{ "version":	"iperf 3.12" },
	"end":	{
		"sum_sent":	{
			"start":	0, "end":	1.000055, "seconds":	1.000055,
			"bytes":	2857369600, "bits_per_second":	22857699626.520542, "retransmits":	0, "sender":	true
		},
		"sum_received":	{
			"start":	0, "end":	1.000106, "seconds":	1.000106,
			"bytes":	2857369600, "bits_per_second":	22856534007.395218, "sender":	true
		}
	}
}`;

const wrkCapture = `Running 1s test @ http://127.0.0.1:5998/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   375.15us  155.55us   1.73ms   62.71%
    Req/Sec   121.07k    16.67k  138.40k    70.00%
  120437 requests in 1.00s, 17.11MB read
Requests/sec: 120178.50
Transfer/sec:     17.08MB
REPORT {"requests":120437,"durationUs":1002151,"p50Us":369,"p99Us":797,"errors":{"connect":0,"read":0,"write":0,"status":0,"timeout":0}}
`;

const dnsperfCapture = `DNS Performance Testing Tool
Version 2.10.0

[Status] Testing complete (time limit)

Statistics:

  Queries sent:         107130
  Queries completed:    107123 (99.99%)
  Queries lost:         7 (0.01%)

  Response codes:       NOERROR 107123 (100.00%)
  Average packet size:  request 30, response 46
  Run time (s):         1.004741
  Queries per second:   106617.526308

  Average Latency (s):  0.001363 (min 0.000027, max 0.005748)
  Latency StdDev (s):   0.000520
`;

describe("parseIperf3", () => {
  test("takes what the server received", () => {
    const result = parseIperf3(iperf3Capture);
    expect(result.gigabitsPerSecond).toBeCloseTo(22.8565, 3);
    expect(result.gigabytes).toBeCloseTo(2.8574, 3);
  });

  test("reports iperf3's own error", () => {
    expect(() => parseIperf3('{"error":"the server is busy running a test. try again later"}')).toThrow(
      "busy",
    );
  });

  test("does not take an empty transfer for a result", () => {
    expect(() => parseIperf3('{"end":{"sum_received":{"bytes":0,"bits_per_second":0}}}')).toThrow(
      "nothing arrived",
    );
    expect(() => parseIperf3('{"end":{}}')).toThrow("nothing arrived");
  });
});

describe("parseWrk", () => {
  test("reads the report line, not the rounded text", () => {
    const result = parseWrk(wrkCapture);
    expect(result.requests).toBe(120_437);
    expect(result.requestsPerSecond).toBeCloseTo(120_178.5, 1);
    expect(result.p50Ms).toBe(0.369);
    expect(result.p99Ms).toBe(0.797);
  });

  test("adds up the errors of every kind", () => {
    expect(parseWrk(wrkCapture).errors).toBe(0);
    const withErrors = wrkCapture.replace('"read":0', '"read":2').replace('"status":0', '"status":1');
    expect(parseWrk(withErrors).errors).toBe(3);
  });

  test("rejects output without a report", () => {
    expect(() => parseWrk("unable to connect to 127.0.0.1:5997 Connection refused\n")).toThrow("no report");
  });

  test("rejects a run without a single answer", () => {
    expect(() => parseWrk(wrkCapture.replace('"requests":120437', '"requests":0'))).toThrow("no request");
  });
});

describe("parseDnsperf", () => {
  test("reads the statistics", () => {
    expect(parseDnsperf(dnsperfCapture)).toEqual({
      completed: 107_123,
      lost: 7,
      queriesPerSecond: 106_617.526308,
      averageLatencyMs: 1.363,
    });
  });

  test("rejects output without statistics and a run without an answer", () => {
    expect(() => parseDnsperf("")).toThrow('no "Queries completed"');
    expect(() => parseDnsperf(dnsperfCapture.replace("completed:    107123", "completed:    0"))).toThrow(
      "no query",
    );
  });
});
