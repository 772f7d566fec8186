/** Settings of the kernel for this network namespace, by their sysctl(8) names. */
import { readFileSync, writeFileSync } from "node:fs";

/** null: this kernel has no such setting, or it cannot be read here. */
export function readSysctl(name: string): string | null {
  try {
    return readFileSync(pathOf(name), "utf8").trim();
  } catch {
    return null;
  }
}

/** Throws the system's error: not permitted, or /proc/sys is mounted read-only, as in most containers. */
export function writeSysctl(name: string, value: string): void {
  writeFileSync(pathOf(name), value);
}

function pathOf(name: string): string {
  return `/proc/sys/${name.replaceAll(".", "/")}`;
}
