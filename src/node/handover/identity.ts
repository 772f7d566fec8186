/**
 * Which node a process runs. A successor with another name, state directory or network is another node, which must not get
 * this one's sockets. Paths and process ids differ between containers, so directory and network are compared by what they
 * are, not by name.
 */
import type { Config } from "../../config/index.ts";
import { fileId } from "../../sys/file-id.ts";
import { dataDirOf } from "../data-dir.ts";

export interface Identity {
  /** node.name */
  readonly node: string;
  /** Path of the state directory. */
  readonly dataDir: string;
  /** null: there is none. */
  readonly dataDirId: string | null;
  /** Network namespace; null: not known. */
  readonly networkId: string | null;
}

const OWN_NETWORK = "/proc/self/ns/net";
const REMEDY = "stop this node and start the new one";

export function identityOf(config: Pick<Config, "node">): Identity {
  const dataDir = dataDirOf(config);
  return {
    node: config.node.name,
    dataDir,
    dataDirId: fileId(dataDir),
    networkId: fileId(OWN_NETWORK),
  };
}

/** Why `successor` is not the node `own`; null: it is. */
export function differenceOf(own: Identity, successor: Identity): string | null {
  if (successor.node !== own.node)
    return `its node.name is "${successor.node}", that of the running node "${own.node}": ${REMEDY}`;
  if (own.dataDirId !== null && successor.dataDirId !== own.dataDirId)
    return `its data_dir is ${successor.dataDir}, that of the running node ${own.dataDir}, another directory: ${REMEDY}`;
  if (own.networkId !== null && successor.networkId !== null && successor.networkId !== own.networkId)
    return "it is in another network namespace: run both containers with the host's network";
  return null;
}
