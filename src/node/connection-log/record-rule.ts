/** What the configuration says about the connection log. */
import type { Config } from "../../config/index.ts";
import { RECORD_NOTHING, type RecordRule } from "../../proxy/index.ts";
import type { Log } from "../log.ts";
import type { ConnectionLogSettings } from "./connection-log.ts";

const SAMPLED = "sampled:";

/** Of `log.connections`. @param setting as the configuration's schema accepts it */
export function recordRule(setting: string): RecordRule {
  if (setting === "off") return RECORD_NOTHING;
  if (setting === "all") return { errors: true, every: 1 };
  const every = setting.startsWith(SAMPLED) ? Number(setting.slice(SAMPLED.length)) : 0;
  return { errors: true, every };
}

/** `auto` is the format of the rest of the log. */
export function recordSettings(
  { connectionFormat, connectionRate }: Config["log"],
  { isPretty }: Pick<Log, "isPretty">,
): ConnectionLogSettings {
  const auto = isPretty ? "pretty" : "json";
  return { format: connectionFormat === "auto" ? auto : connectionFormat, rate: connectionRate };
}
