/** Health checks: how a node finds out whether its tasks of a service work. Their rules are in check-schema.ts. */
export const CHECK_TYPES = ["tcp", "http", "send-expect", "udp", "exec"] as const;
export type CheckType = (typeof CHECK_TYPES)[number];

interface CheckTiming {
  /** From the start of one probe to the next. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes in a row that make an unhealthy task healthy. */
  readonly rise: number;
  /** Failures in a row that make it unhealthy. */
  readonly fall: number;
}

interface CheckPort {
  /** null: that of the task, else the first target port. */
  readonly port: number | null;
}

export interface TcpCheck extends CheckTiming, CheckPort {
  readonly type: "tcp";
}

export interface HttpCheck extends CheckTiming, CheckPort {
  readonly type: "http";
  readonly method: string;
  readonly path: string;
  /** Host header; null: the address and port of the task. */
  readonly host: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** "200-399", "200,204": see parseStatus. */
  readonly status: string;
}

/** Texts, or bytes as "hex:0a0b". */
export interface SendExpectCheck extends CheckTiming, CheckPort {
  readonly type: "send-expect";
  /** "": the task speaks first. */
  readonly send: string;
  /** What the answer has to contain. */
  readonly expect: string;
}

export interface UdpCheck extends CheckTiming, CheckPort {
  readonly type: "udp";
  readonly send: string;
  /** null: no answer is needed, only a refusal is a failure. */
  readonly expect: string | null;
}

export interface ExecCheck extends CheckTiming {
  readonly type: "exec";
  /** The program and its arguments; no shell. */
  readonly command: readonly string[];
}

export type Check = TcpCheck | HttpCheck | SendExpectCheck | UdpCheck | ExecCheck;
