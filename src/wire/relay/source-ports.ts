/**
 * Ports that links over UDP leave from: above those that kernels give to sockets by default (32768 to 60999), so that
 * what a filter lets through to them gets to hardly any other program.
 */
export const LINK_PORT_MIN = 61_000;
export const LINK_PORT_MAX = 65_535;
