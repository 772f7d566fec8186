/**
 * CPU time of the whole machine. What a kernel device costs belongs to no process; counted like this, every contestant
 * pays for all it causes, client and task included, which are the same for all. So nothing else may run meanwhile.
 */
import { readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** Seconds since boot that processors were not idle, summed over all of them. */
export function busySeconds(): number {
  return parseBusyTicks(readFileSync("/proc/stat", "latin1")) / TICKS_PER_SECOND;
}

/**
 * proc(5): `cpu user nice system idle iowait irq softirq steal guest guest_nice`. Guests are part of user and nice;
 * what the host took (steal) was nobody's here.
 */
export function parseBusyTicks(stat: string): number {
  const [user, nice, system, , , irq, softirq] = stat.split("\n")[0]!.split(/\s+/).slice(1).map(Number);
  return user! + nice! + system! + irq! + softirq!;
}
