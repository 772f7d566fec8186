/** What a node tells about itself: the answer to `portmesh status --json`. Plain values. */
import type { SettingChange } from "../config/index.ts";
import type { ProxyStatus } from "../proxy/index.ts";
import type { ReloadReport } from "./reload-report.ts";
import type { NameStatus } from "./resolver.ts";
import type { RoutingWarning } from "./routing-from-config.ts";

export interface NodeStatus {
  readonly node: string;
  readonly version: BuildInfo;
  readonly state: "starting" | "serving" | "draining";
  readonly pid: number;
  /** ms since 1970 */
  readonly startedAt: number;
  /** of this answer, ms since 1970: ages are told against it */
  readonly now: number;
  readonly config: {
    readonly file: string;
    /** When the running configuration was applied, ms since 1970. */
    readonly appliedAt: number;
    /** null: none since the start. */
    readonly lastReload: ReloadReport | null;
    /** Settings of the file that wait for a restart, as of the last reload. */
    readonly needsRestart: readonly SettingChange[];
  };
  /** Tasks given by name. */
  readonly names: readonly (NameStatus & { readonly services: readonly string[] })[];
  readonly warnings: readonly RoutingWarning[];
  readonly proxy: ProxyStatus;
}

export interface BuildInfo {
  /** "0.1.0" */
  readonly version: string;
  /** Short hash of the commit it was built from; null when run from source. */
  readonly commit: string | null;
}
