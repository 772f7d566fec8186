/** The first byte of every message. [memberlist net.go, "messageType"] */

export const PING = 0;
export const INDIRECT_PING = 1;
export const ACK = 2;
export const SUSPECT = 3;
export const ALIVE = 4;
export const DEAD = 5;
export const PUSH_PULL = 6;
export const COMPOUND = 7;
export const USER = 8;
export const COMPRESS = 9;
export const ENCRYPT = 10;
export const NACK = 11;
export const HAS_CRC = 12;
export const ERROR = 13;
export const HAS_LABEL = 244;
