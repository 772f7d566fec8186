/**
 * Source ports of UDP relays: above the default ephemeral range of Linux (32768 to 60999), so that a filter that lets
 * packets through to them reaches hardly any other program.
 */
export const RELAY_SOURCE_PORT_MIN = 61_000;
export const RELAY_SOURCE_PORT_MAX = 65_535;
