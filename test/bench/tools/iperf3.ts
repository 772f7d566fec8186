/** iperf3: bytes one way through one port, its control connection included. */

export interface Iperf3Result {
  readonly gigabitsPerSecond: number;
  /** What arrived at the server, in 10⁹ bytes. */
  readonly gigabytes: number;
}

export function iperf3Server(program: string, port: number): string[] {
  return [program, "--server", "--one-off", "--bind", "127.0.0.1", "--port", String(port)];
}

export function iperf3Client(program: string, port: number, streams: number, seconds: number): string[] {
  const target = ["--client", "127.0.0.1", "--port", String(port)];
  return [program, ...target, "--parallel", String(streams), "--time", String(seconds), "--json"];
}

/** @throws Error when iperf3 reports one, or nothing arrived. */
export function parseIperf3(json: string): Iperf3Result {
  const report = JSON.parse(json);
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  const received = report.end?.sum_received;
  if (!received || received.bytes <= 0) throw new Error("iperf3: nothing arrived");
  return { gigabitsPerSecond: received.bits_per_second / 1e9, gigabytes: received.bytes / 1e9 };
}
