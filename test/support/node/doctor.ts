/** `portmesh doctor --json` on a node under test. */
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import type { MeshNode } from "../cluster/mesh-node.ts";

export interface Doctor {
  readonly exitCode: number;
  readonly findings: readonly Finding[];
}

export async function doctor(node: MeshNode): Promise<Doctor> {
  const { exitCode, stdout, stderr } = await node.command("doctor", "--json");
  if (stdout === "") throw new Error(`doctor on ${node.name}: ${stderr}`);
  return { exitCode, findings: JSON.parse(stdout) as Finding[] };
}
