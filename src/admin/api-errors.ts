/** The API errors of a node's commands, with the texts that the CLI shows. */
import { formatPort, type PortSpec } from "../model/index.ts";
import type { ApiError, DefinitionInfo } from "./cluster-api.ts";

/** The same file may be on hundreds of nodes. */
const MAX_FILES_NAMED = 8;

export function serviceExists(name: string): ApiError {
  return { code: "exists", error: `service ${quote(name)} already exists`, about: { name } };
}

export function noSuchService(name: string): ApiError {
  return { code: "not-found", error: `service ${quote(name)} does not exist`, about: { name } };
}

/** @param definitions those by command are passed over */
export function serviceFromFile(
  name: string,
  definitions: readonly Pick<DefinitionInfo, "node" | "file" | "isAlive">[],
): ApiError {
  const files = definitions.filter(({ file }) => file !== null);
  const places = files.map(({ node, file, isAlive }) => `${node}:${file}${isAlive ? "" : " (not alive)"}`);
  const shown = places.slice(0, MAX_FILES_NAMED);
  const more = places.length > shown.length ? [`${places.length - shown.length} more nodes`] : [];
  const dead = files.find(({ isAlive }) => !isAlive);
  const forget =
    dead === undefined ? "" : `, or \`portmesh node forget ${dead.node}\` if it is gone for good`;
  const error =
    `service ${quote(name)} is declared in ${[...shown, ...more].join(", ")}: ` +
    `change it there and reload${forget}`;
  return { code: "declared-by-file", error, about: { name } };
}

/** Another command changed the service after this one had read it. */
export function serviceChanged(name: string): ApiError {
  return {
    code: "changed",
    error: `service ${quote(name)} was changed by another command in the meantime: try again`,
  };
}

/** @param service the one that has the port */
export function portTaken(port: Pick<PortSpec, "protocol" | "published">, service: string): ApiError {
  const { protocol, published } = port;
  const error = `port ${formatPort(port)} is already published by service ${quote(service)}`;
  return { code: "port-taken", error, about: { port: { protocol, published } } };
}

export function taskExists(service: string, task: string): ApiError {
  const error = `service ${quote(service)} already has task ${quote(task)} on this node`;
  return { code: "exists", error, about: { task } };
}

/** @param nodes others that have a task of this name */
export function noSuchTask(service: string, task: string, nodes: readonly string[]): ApiError {
  const elsewhere = nodes.length === 0 ? "" : `: it belongs to ${nodes.join(", ")}; run the command there`;
  const error = `service ${quote(service)} has no task ${quote(task)} on this node${elsewhere}`;
  return { code: "not-found", error, about: { task } };
}

export function taskFromFile(service: string, task: string): ApiError {
  const error = `task ${quote(task)} of service ${quote(service)} is declared by a file: change it there`;
  return { code: "declared-by-file", error, about: { task } };
}

export function noSuchNode(name: string): ApiError {
  return { code: "not-found", error: `node ${quote(name)} is not in the cluster`, about: { name } };
}

export function nodeAlive(name: string): ApiError {
  const error = `node ${quote(name)} is alive: stop it first, a running node cannot be forgotten`;
  return { code: "alive", error, about: { name } };
}

function quote(text: string): string {
  return JSON.stringify(text);
}
