/** Resources that all flows of a worker share. */
import { Arena } from "../../../sys/arena.ts";
import { type TcpSockets, tcpSockets } from "../../../sys/tcp-sockets.ts";
import { RECORD_MAX_BYTES, RECORD_MAX_PLAIN_BYTES } from "../../../wire/index.ts";
import { BlockPool } from "./block-pool.ts";
import type { PipePool } from "./pipe-pool.ts";

/** Size of a read of plain bytes. */
export const COPY_BYTES = 16 * 1024;
/** The longest record, and room for what one read returns behind it. */
export const RECORD_BLOCK_BYTES = 2 * RECORD_MAX_BYTES;

export interface FlowResources {
  readonly sockets: TcpSockets;
  readonly pipes: PipePool;
  /** COPY_BYTES each. */
  readonly blocks: BlockPool;
  /** RECORD_BLOCK_BYTES each. */
  readonly recordBlocks: BlockPool;
  /** Scratch for one call, RECORD_MAX_PLAIN_BYTES long. */
  readonly buffer: Arena;
  /** Returns unused memory to the system. */
  discardFree(): void;
}

export function createFlowResources(pipes: PipePool, sockets: TcpSockets = tcpSockets): FlowResources {
  const [blocks, recordBlocks] = [new BlockPool(COPY_BYTES), new BlockPool(RECORD_BLOCK_BYTES)];
  const buffer = new Arena(RECORD_MAX_PLAIN_BYTES);
  const discardFree = () => {
    blocks.discardFree();
    recordBlocks.discardFree();
  };
  return { sockets, pipes, blocks, recordBlocks, buffer, discardFree };
}
