import { expect, test } from "bun:test";
import { parseExchange } from "../../bench/tools/exchange.ts";

const report = { exchanges: 10, untimedExchanges: 2, seconds: 1, p50Us: 5, p99Us: 9, ended: 0 };

test("parseExchange gives what the client printed", () => {
  expect(parseExchange(`${JSON.stringify(report)}\n`)).toEqual(report);
});

test("parseExchange rejects a run that a closed connection ended, and one without an answer", () => {
  expect(() => parseExchange(JSON.stringify({ ...report, ended: 1 }))).toThrow("1 connections were closed");
  expect(() => parseExchange(JSON.stringify({ ...report, exchanges: 0 }))).toThrow("nothing was answered");
});
