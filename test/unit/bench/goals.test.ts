import { describe, expect, test } from "bun:test";
import { evaluateGoal, type Goal, goals } from "../../bench/goals.ts";
import type { SeriesResult } from "../../bench/series.ts";
import type { SubjectName } from "../../bench/workload.ts";
import { workloads } from "../../bench/workloads/index.ts";

const rateGoal: Goal = { workload: "bulk-8", metric: "rate", rival: "haproxy", operator: ">=", bound: 1.2 };
const cpuGoal: Goal = { ...rateGoal, metric: "cpu", operator: "<=", bound: 0.7 };
const absoluteGoal: Goal = { workload: "bulk-8", metric: "cpu", operator: "<=", bound: 0.5 };

function results(medians: Partial<Record<SubjectName, Record<string, number>>>): SeriesResult[] {
  const subjects = Object.entries(medians).map(([subject, median]) => {
    return { subject: subject as SubjectName, samples: [median], median };
  });
  return [{ workload: "bulk-8", workers: 1, subjects, failures: [] }];
}

describe("evaluateGoal", () => {
  const measured = results({ haproxy: { rate: 10, cpu: 1 }, portmesh: { rate: 12, cpu: 0.8 } });

  test("a ratio on the bound is reached", () => {
    expect(evaluateGoal(rateGoal, measured)).toEqual({ goal: rateGoal, status: "reached", measured: 1.2 });
  });

  test("less is better where the operator says so", () => {
    expect(evaluateGoal(cpuGoal, measured)).toEqual({ goal: cpuGoal, status: "missed", measured: 0.8 });
  });

  test("without a rival the bound is an absolute value", () => {
    expect(evaluateGoal(absoluteGoal, measured)).toMatchObject({ status: "missed", measured: 0.8 });
    expect(evaluateGoal({ ...absoluteGoal, bound: 0.8 }, measured).status).toBe("reached");
  });

  test.each([
    ["the workload", []],
    ["portmesh", results({ haproxy: { rate: 10 } })],
    ["the rival", results({ portmesh: { rate: 10 } })],
    ["the metric", results({ haproxy: { cpu: 1 }, portmesh: { cpu: 1 } })],
  ])("is not measured when %s is missing", (_, incomplete) => {
    expect(evaluateGoal(rateGoal, incomplete)).toEqual({ goal: rateGoal, status: "not measured" });
  });
});

test("every goal names a metric and a rival that its workload has", () => {
  for (const goal of goals) {
    const workload = workloads[goal.workload];
    expect(workload.metrics.map((metric) => metric.key)).toContain(goal.metric);
    expect(workload.subjects).toContain(goal.rival ?? "portmesh");
  }
});
