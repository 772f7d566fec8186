/** Names in records, parsed and escaped once: a node has few of them, and records come by the thousand. */
import { parseTaskText, type RecordedTask } from "../../proxy/index.ts";
import { escapeToOneLine } from "../../sys/terminal-text.ts";

export interface KnownTask extends RecordedTask {
  /** Its fields as JSON, escaped for a terminal: `"task":"web-1","address":…,"exitNode":…,"path":…`. */
  readonly json: string;
}

/** More than a node has tasks; then all are forgotten. */
const MAX_KNOWN = 40_000;

export class KnownTasks {
  readonly #tasks = new Map<string, KnownTask>(); // bounded by MAX_KNOWN

  /** @param self name of this node */
  constructor(readonly self: string) {}

  /** @param text of a record; null: no task was tried */
  find(text: string): KnownTask | null {
    if (text === "") return null;
    const known = this.#tasks.get(text);
    if (known !== undefined) return known;
    if (this.#tasks.size >= MAX_KNOWN) this.#tasks.clear();
    const task = this.#parse(text);
    this.#tasks.set(text, task);
    return task;
  }

  #parse(text: string): KnownTask {
    const { name, address, node, path } = parseTaskText(text);
    const task = { name: escapeToOneLine(name), address: escapeToOneLine(address), path };
    const exitNode = escapeToOneLine(node ?? this.self);
    const fields = { task: task.name, address: task.address, exitNode, path };
    return { ...task, node: exitNode, json: JSON.stringify(fields).slice(1, -1) };
  }
}
