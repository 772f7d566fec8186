/** Why a node cannot join its cluster, with what to do about it. */
import type { GossipAddress } from "../../config/index.ts";
import { formatHostPort } from "../../wire/index.ts";
import { NodeError } from "../node-error.ts";

/** @param other where the node of this name answers */
export function nameTaken(name: string, other: string): NodeError {
  const text = `node name "${name}" is taken: a live node at ${other} uses it; set node.name to another name`;
  return new NodeError("name-taken", text);
}

export function cannotBind({ host, port }: GossipAddress, error: unknown): NodeError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason =
    code === "EADDRINUSE"
      ? `another program uses it, perhaps serf, Docker Swarm or another portmesh (find it with: ss -lnp 'sport = :${port}')`
      : code === "EADDRNOTAVAIL"
        ? "this machine has no such address"
        : message;
  const where = formatHostPort(host, port);
  return new NodeError("cannot-bind", `cannot gossip on ${where}: ${reason}: set cluster.bind`, {
    cause: error,
  });
}
