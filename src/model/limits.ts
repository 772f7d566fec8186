/**
 * Every limit of a service, of a file and of the labels of a node. What `portmesh check` and the commands accept fits into
 * the catalog's records, because the same limits decide everywhere.
 */

export const MAX_PORT = 65_535;
export const MAX_WEIGHT = 256;
/** 24 days: timers count milliseconds in 31 bits. */
export const MAX_DURATION_MS = 24 * 24 * 3_600_000;
export const MAX_CONNECTIONS = 2_147_483_647;
export const MAX_UDP_SESSIONS = 1_048_576;
export const MAX_UDP_RESPONSES = 65_535;

/** In the file of one node. */
export const MAX_SERVICES_PER_FILE = 4_096;
export const MAX_TASKS_PER_NODE = 10_000;
/** In all services of a file: both protocols on every port of two addresses. More would be a mistake and costs memory per port. */
export const MAX_PORTS_PER_FILE = 4 * MAX_PORT;
/** After its ranges are expanded. */
export const MAX_PORTS_PER_SERVICE = 16_384;
/** Of a service: of each of its ports, after ranges are expanded. */
export const MAX_SERVER_NAMES = 16_384;
/** Of one list: allow, deny, accept_proxy, bind, sni. */
export const MAX_LIST_ENTRIES = 1_024;

export const MAX_LABELS = 64;
export const MAX_LABEL_VALUE_LENGTH = 128;
/** Of all labels, as JSON in ASCII: a node record has room for its failed listeners beside them. */
export const MAX_LABEL_BYTES = 8 * 1024;
/** Of the lists of a service together, as JSON: with the rest of its record it stays below 64 KiB. */
export const MAX_SERVICE_BYTES = 60 * 1024;
