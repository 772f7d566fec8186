/**
 * The same file may be on every node: equal specifications of one service become one object in memory, so that many
 * declarations cost little and are compared by identity.
 */
import { areSpecsEqual, type ServiceSpec } from "../model/index.ts";
import type { Entry } from "./entry.ts";
import type { ServiceRecord } from "./records.ts";

const MAX_SERVICES = 8192;
const MAX_PER_SERVICE = 4;

export class SharedSpecs {
  /** Those seen last, by service, newest first; at the limits the oldest make room. */
  readonly #known = new Map<string, readonly ServiceSpec[]>();

  share(entry: Entry): Entry {
    const { kind, key, record } = entry;
    if ((kind !== "declaration" && kind !== "service") || record === null) return entry;
    const { spec } = record as ServiceRecord;
    const known = this.#known.get(key)?.find((other) => areSpecsEqual(other, spec));
    if (known !== undefined) return { ...entry, record: { ...(record as ServiceRecord), spec: known } };
    this.#remember(key, spec);
    return entry;
  }

  #remember(service: string, spec: ServiceSpec): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_SERVICES && !this.#known.has(service)) this.#known.delete(oldest!);
    this.#known.set(service, [spec, ...(this.#known.get(service) ?? [])].slice(0, MAX_PER_SERVICE));
  }
}
