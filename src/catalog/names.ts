/** Which names records may have. Printable ASCII without blanks, so that they compare and print alike everywhere. */
import {
  MAX_LABEL_KEY_LENGTH,
  MAX_NODE_NAME_LENGTH,
  MAX_SERVICE_NAME_LENGTH,
  MAX_TASK_NAME_LENGTH,
} from "./limits.ts";

/** Not stricter than other members of the cluster are: agents may be called what our own configuration refuses. */
export function isNodeName(name: string): boolean {
  return isPlain(name, MAX_NODE_NAME_LENGTH);
}

/** As in the configuration file. */
export function isServiceName(name: string): boolean {
  return name.length <= MAX_SERVICE_NAME_LENGTH && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name);
}

export function isTaskName(name: string): boolean {
  return isPlain(name, MAX_TASK_NAME_LENGTH);
}

export function isLabelKey(key: string): boolean {
  return key.length <= MAX_LABEL_KEY_LENGTH && /^[a-zA-Z0-9][a-zA-Z0-9_./-]*$/.test(key);
}

function isPlain(text: string, maxLength: number): boolean {
  return text.length <= maxLength && /^[\x21-\x7e]+$/.test(text);
}
