/**
 * What two nodes say to each other while they test ports, as user messages of the memberlist protocol: a type byte, a
 * version byte, JSON. With cluster keys gossip encrypts and authenticates them.
 *
 *     asking node                                     other node
 *       start, over TCP                        ──▶    begins to test towards the asking node
 *                                              ◀──    started, or refused
 *       marks in datagrams                     ◀──▶   marks in datagrams: which of them arrive is what is tested
 *       collect, over TCP                      ──▶
 *                                              ◀──    report: marks that came, what its own tests gave
 *
 * A node that cannot be asked over TCP is asked by a datagram, and sends its report unasked.
 */
import { z } from "zod";

/** First byte of the payload; catalogs have those before it. */
export const PORT_TEST = 20;
const VERSION = 1;
const HEAD_BYTES = 2;
const MAX_BYTES = 16 * 1024;
const MAX_TEXT = 512;
const MAX_TRIALS = 16;
const MAX_PROBLEMS = 8;
/** Of a trial. */
export const MIN_TIMEOUT_MS = 1_500;
export const MAX_TIMEOUT_MS = 5_000;

const OUTCOMES = [
  /** It got through. */
  "open",
  /** Sent, as far as the sender knows; only the other node knows whether it arrived. */
  "sent",
  /** Nothing came. */
  "silent",
  /** Only what belongs to a flow that the other node began. */
  "replies-only",
  /** The other machine says that nothing listens there, or a firewall does in its name. */
  "refused",
  /** The network says that the host cannot be reached: it is down, or a firewall rejects. */
  "unreachable",
  /** The firewall of the sending machine does not let it out. */
  "not-sent",
  /** The sending machine has no way there. */
  "no-route",
  "not-tested",
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const text = z
  .string()
  .max(MAX_TEXT)
  .regex(/^\P{Cc}*$/u);
const who = { from: text, run: z.string().regex(/^[0-9a-f]{16}$/) };

/** One port, from the node that says so to the one it says it to. */
const trial = z.object({
  /** `gossip` and `relay`: what takes it; `overlay`: VXLAN or seals; `echo`: what measures paths inside the overlay. */
  kind: z.enum(["gossip", "relay", "overlay", "echo"]),
  protocol: z.enum(["tcp", "udp"]),
  port: z.number().int().min(1).max(65_535),
  /** That it was sent to. */
  address: text,
  /** Through the overlay, from overlay address to overlay address. */
  isInside: z.boolean(),
  outcome: z.enum(OUTCOMES),
});

const heard = z.object({
  /** The marks' source address, by where they were sent from: a port of their own, or the gossip port. null: none came. */
  fresh: text.nullable(),
  known: text.nullable(),
  /** Echoes over the overlay. */
  echo: z.boolean(),
});

const message = z.discriminatedUnion("type", [
  /** `timeoutMs`: how long the asking node waits for a trial, and the other one is to wait too. */
  z.object({
    type: z.literal("start"),
    ...who,
    isPushed: z.boolean(),
    timeoutMs: z.number().min(MIN_TIMEOUT_MS).max(MAX_TIMEOUT_MS),
  }),
  z.object({ type: z.literal("started") }),
  /** `isBusy`: it may be asked again in a moment. */
  z.object({ type: z.literal("refused"), reason: text, isBusy: z.boolean() }),
  z.object({ type: z.literal("mark"), ...who, isFresh: z.boolean() }),
  z.object({ type: z.literal("collect"), ...who }),
  z.object({
    type: z.literal("report"),
    ...who,
    isDone: z.boolean(),
    heard,
    trials: z.array(trial).max(MAX_TRIALS),
    /** Of its own end of the overlay. */
    problems: z.array(text).max(MAX_PROBLEMS),
  }),
]);

export type Trial = Readonly<z.output<typeof trial>>;
export type Heard = Readonly<z.output<typeof heard>>;
export type PortTestMessage = z.output<typeof message>;
export type Report = Extract<PortTestMessage, { type: "report" }>;

export function encodePortTest(said: PortTestMessage): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(said));
  const bytes = new Uint8Array(HEAD_BYTES + json.length);
  bytes.set([PORT_TEST, VERSION]);
  bytes.set(json, HEAD_BYTES);
  return bytes;
}

/** null: it is none, or of a newer version. Never throws. */
export function decodePortTest(payload: Uint8Array): PortTestMessage | null {
  if (payload[0] !== PORT_TEST || payload[1] !== VERSION || payload.length > MAX_BYTES) return null;
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(payload.subarray(HEAD_BYTES)));
    return message.safeParse(json).data ?? null;
  } catch {
    return null;
  }
}

export function problemsToReport(problems: readonly string[]): string[] {
  return problems.slice(0, MAX_PROBLEMS).map((problem) => problem.slice(0, MAX_TEXT));
}
