/** Names of services, nodes and tasks: printable ASCII without spaces, so that they compare and print alike everywhere. */

export const SERVICE_NAME_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$";
export const NODE_NAME_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$";
export const MAX_NODE_NAME_LENGTH = 128;
/** "[" IPv6 address or a DNS name of 253 characters "]:65535". */
export const MAX_TASK_NAME_LENGTH = 261;

const SERVICE_NAME = new RegExp(SERVICE_NAME_PATTERN);
const NODE_NAME = new RegExp(NODE_NAME_PATTERN);

export function isServiceName(name: string): boolean {
  return SERVICE_NAME.test(name);
}

/** The name of a portmesh node. */
export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name);
}

/** The name of any member of the cluster: serf agents may have names that a portmesh node must not have. */
export function isMemberName(name: string): boolean {
  return isPlain(name, MAX_NODE_NAME_LENGTH);
}

export function isTaskName(name: string): boolean {
  return isPlain(name, MAX_TASK_NAME_LENGTH);
}

function isPlain(text: string, maxLength: number): boolean {
  return text.length <= maxLength && /^[\x21-\x7e]+$/.test(text);
}
