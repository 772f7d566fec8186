/**
 * Bounds of the admin API over TCP. Clients that have shown no token hold at most MAX_CONNECTIONS heads; bodies and
 * answers are counted together.
 */

/** All of them, and of one client address. Descriptors are shared with the proxy. */
export const MAX_CONNECTIONS = 256;
export const MAX_CONNECTIONS_PER_ADDRESS = 64;
/** From the first byte of a request to the end of its head, and of its body. */
export const HEAD_MS = 5_000;
export const BODY_MS = 10_000;
/** Without a request. */
export const IDLE_MS = 60_000;
/** Of an answer: without any of it being taken. */
export const STALL_MS = 30_000;
/** Of a TLS handshake. */
export const HANDSHAKE_MS = 10_000;
/** The Unix socket takes more. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Bodies and answers that are in memory. The answer that exceeds it is the last one, so it may be more by that. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** After a refusal, so that the client reads it: what it still sends is thrown away. */
export const LINGER_MS = 1_000;
