/** The task accepts a connection, and what it answers contains the expected bytes. */
import { payloadBytes, type SendExpectCheck, showValue } from "../../model/index.ts";
import { down, type ProbeResult, readDrain, up } from "../probe-result.ts";
import { overConnection, type ProbeTarget } from "./connection.ts";

/** What was expected comes first, or not at all. */
const MAX_ANSWER_BYTES = 64 * 1024;

export function probeSendExpect(
  { send, expect }: SendExpectCheck,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const wanted = payloadBytes(expect);
  return overConnection(target, signal, (socket, end) => {
    let answer: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const drain = answer.includes("\n") ? readDrain(answer.toString("latin1")) : null;
      if (drain !== null) end(drain);
      else if (answer.includes(wanted)) end(up("answered as expected"));
      else if (answer.length > MAX_ANSWER_BYTES) end(down(notExpected(answer, expect)));
    });
    socket.on("end", () => {
      const isEmpty = answer.length === 0;
      const failure = down(isEmpty ? "connection closed without an answer" : notExpected(answer, expect));
      end(readDrain(answer.toString("latin1")) ?? failure);
    });
    if (send !== "") socket.write(payloadBytes(send));
  });
}

export function notExpected(answer: Uint8Array, expect: string): string {
  const [line = ""] = Buffer.from(answer)
    .toString("latin1")
    .trimStart()
    .split(/[\r\n]/, 1);
  return `answered ${showValue(line)}, expected ${showValue(expect)}`;
}
