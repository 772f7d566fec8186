/** Where a node keeps its state. */
import type { Config } from "../config/index.ts";
import { standardDataDir } from "../sys/standard-paths.ts";

export function dataDirOf({ node }: Pick<Config, "node">): string {
  return node.dataDir ?? standardDataDir();
}
