/**
 * The task answers a datagram with the expected bytes; without an expectation it is enough that its host does not refuse it
 * (ICMP port unreachable), which programs that never answer cannot give more than.
 */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { payloadBytes, type UdpCheck } from "../../model/index.ts";
import { down, type ProbeResult, up } from "../probe-result.ts";
import { type ProbeTarget, reasonOf } from "./connection.ts";
import { notExpected } from "./send-expect.ts";

/** Of the timeout: a refusal has come by then. */
const SILENCE_SHARE = 0.5;

export function probeUdp(
  { send, expect, timeoutMs }: UdpCheck,
  { address, port }: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOpen = true;
    const end = (result: ProbeResult) => {
      resolve(result);
      clearTimeout(timer);
      if (isOpen) socket.close();
      isOpen = false;
    };
    socket.on("error", (error) => end(down(reasonOf(error))));
    socket.on("message", (answer) => {
      const isExpected = expect === null || answer.includes(payloadBytes(expect));
      end(isExpected ? up("answered as expected") : down(notExpected(answer, expect)));
    });
    signal.addEventListener("abort", () => end(down("called off")), { once: true });
    const onConnected = (failure?: Error) => {
      if (failure) return end(down(reasonOf(failure)));
      if (!isOpen) return;
      socket.send(payloadBytes(send), (error) => {
        if (error) end(down(reasonOf(error)));
      });
      if (expect === null)
        timer = setTimeout(() => end(up("the port is not refused")), timeoutMs * SILENCE_SHARE);
    };
    socket.connect(port, address, onConnected as () => void); // which gets the error of the system, if there is one
  });
}
