/**
 * Options of a service that can do nothing with what it publishes. Such an option is a misunderstanding, and silence
 * would hide it. Shared by the file and the commands, which spell the options differently.
 */
import type { Check } from "./check.ts";
import type { Protocol, ServiceSpec } from "./service.ts";

export const V1_CARRIES_TCP_ONLY =
  '"v1" cannot carry udp: use "v2", or publish the udp port as another service';

export const NAMES_ARE_OF_TLS = "has no effect on udp ports: a server name is read from TLS over tcp";

/** In the file's spelling. */
export type ServiceOption =
  | "udp"
  | "udp.idle_timeout"
  | "udp.max_sessions"
  | "idle_timeout"
  | "max_connections"
  | "max_connections_per_client"
  | "rate_per_client"
  | "client_prefix"
  | "udp.max_sessions_per_client"
  | "send_proxy";

export interface UselessOption {
  readonly option: ServiceOption;
  /** Reads after the option. */
  readonly message: string;
}

/**
 * @param given what was given; undefined when nothing was
 * @param spell an option as its user writes it
 */
export function findUselessOptions(
  protocols: ReadonlySet<Protocol>,
  given: (option: ServiceOption) => unknown,
  spell: (option: ServiceOption) => string,
): UselessOption[] {
  const found: UselessOption[] = [];
  const refuse = (option: ServiceOption, message: string) => {
    if (given(option) !== undefined) found.push({ option, message });
  };
  const [hasTcp, hasUdp] = [protocols.has("tcp"), protocols.has("udp")];
  if (!hasUdp) refuse("udp", "has no effect: the service publishes no udp port");
  if (!hasTcp) refuse("idle_timeout", `has no effect on udp ports: use ${spell("udp.idle_timeout")}`);
  if (!hasTcp) refuse("max_connections", `has no effect on udp ports: use ${spell("udp.max_sessions")}`);
  if (!hasTcp)
    refuse(
      "max_connections_per_client",
      `has no effect on udp ports: use ${spell("udp.max_sessions_per_client")}`,
    );
  const limits = ["max_connections_per_client", "rate_per_client", "udp.max_sessions_per_client"] as const;
  if (limits.every((limit) => given(limit) === undefined))
    refuse("client_prefix", `has no effect without ${limits.map(spell).join(", ")}`);
  if (hasUdp && given("send_proxy") === "v1") {
    refuse("send_proxy", V1_CARRIES_TCP_ONLY);
  }
  return found;
}

/** Options that go by the health of tasks, which without a check is not known. In the model's spelling. */
export function findUselessCheckOptions({
  check,
  panic,
  slowStartMs,
}: Pick<ServiceSpec, "check" | "panic" | "slowStartMs">): {
  readonly option: "panic" | "slowStartMs";
  readonly message: string;
}[] {
  if (check !== null) return [];
  const message = "has no effect without check";
  return [
    ...(panic ? [] : [{ option: "panic" as const, message }]),
    ...(slowStartMs === 0 ? [] : [{ option: "slowStartMs" as const, message }]),
  ];
}

/** null: the check has a port to go to. */
export function whyNoCheckPort(check: Check, protocols: ReadonlySet<Protocol>): string | null {
  if (check.type === "exec" || check.port !== null) return null;
  const protocol = check.type === "udp" ? "udp" : "tcp";
  return protocols.has(protocol)
    ? null
    : `a check of type "${check.type}" needs port: the service publishes no ${protocol} port`;
}
