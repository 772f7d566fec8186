/** `portmesh doctor --json` on a node under test. */
import type { PortTest } from "../../src/node/index.ts";
import type { MeshNode } from "./mesh-node.ts";

export interface Finding {
  readonly about: string;
  readonly level: "pass" | "warn" | "fail";
  readonly message: string;
  readonly fix: string | null;
  readonly tests?: readonly PortTest[];
}

export interface Doctor {
  readonly exitCode: number;
  readonly findings: readonly Finding[];
}

export async function doctor(node: MeshNode): Promise<Doctor> {
  const { exitCode, stdout, stderr } = await node.command("doctor", "--json");
  if (stdout === "") throw new Error(`doctor on ${node.name}: ${stderr}`);
  return { exitCode, findings: JSON.parse(stdout) as Finding[] };
}
