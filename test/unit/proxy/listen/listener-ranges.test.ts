import { expect, test } from "bun:test";
import { collapseListeners, rangesOf } from "../../../../src/proxy/listen/listener-ranges.ts";

const failed = (port: number, rest: { service?: string; address?: string; error?: string } = {}) => {
  const { service = "rtp", address = "0.0.0.0", error = "another program uses it" } = rest;
  return {
    service,
    protocol: "udp",
    address,
    port,
    error: `cannot listen on ${address}:${port}/udp: ${error} (ss 'sport = :${port}')`,
  };
};

test("rangesOf puts neighbouring ports with one reason together, whatever their order", () => {
  expect(rangesOf([failed(102), failed(100), failed(101), failed(104)])).toEqual([
    {
      first: failed(100),
      lastPort: 102,
      error: "cannot listen on 0.0.0.0:100-102/udp: another program uses it (ss 'sport = :100')",
    },
    { first: failed(104), lastPort: 104, error: failed(104).error },
  ]);
});

test.each([
  ["services", { service: "sip" }],
  ["addresses", { address: "192.0.2.1" }],
  ["reasons", { error: "no such address" }],
])("rangesOf keeps different %s apart", (_, other) => {
  expect(rangesOf([failed(100), failed(101, other)])).toHaveLength(2);
});

test("rangesOf takes listeners that are open after all", () => {
  const open = (port: number) => ({ ...failed(port), error: null });
  expect(rangesOf([open(1), open(2)])).toEqual([{ first: open(1), lastPort: 2, error: null }]);
});

test("collapseListeners joins what follows each other", () => {
  const listeners = ["udp [::]:101", "udp [::]:100", "tcp 0.0.0.0:100", "tcp 0.0.0.0:101", "tcp 0.0.0.0:103"];
  expect(collapseListeners(listeners)).toEqual([
    "udp [::]:100-101",
    "tcp 0.0.0.0:100-101",
    "tcp 0.0.0.0:103",
  ]);
  expect(collapseListeners(["tcp 0.0.0.0:80", "relay tcp 192.0.2.1:4789", "odd"])).toEqual([
    "tcp 0.0.0.0:80",
    "relay tcp 192.0.2.1:4789",
    "odd",
  ]);
});
