/**
 * The same file may be on every node: equal specifications of one service become one object in memory, found by the text
 * they were read from, so that many declarations cost little and are compared by identity.
 */
import type { ServiceSpec } from "../model/index.ts";
import type { Entry } from "./entry.ts";
import type { DeclarationRecord } from "./records.ts";

interface Known {
  /** `{"spec":{…},"created":[`: texts that begin so have this specification. */
  readonly prefix: string;
  readonly spec: ServiceSpec;
}

/** In encoded records the specification comes first; a quote inside it is escaped. */
const END_OF_SPEC = ',"created":[';
const MAX_SERVICES = 8192;
const MAX_PER_SERVICE = 4;

export class SharedSpecs {
  /** Those seen last, by service, newest first; at the limits the oldest make room. */
  readonly #known = new Map<string, readonly Known[]>();

  share(entry: Entry): Entry {
    const { kind, key, text, record } = entry;
    if (kind !== "declaration" || text === null || record === null) return entry;
    const known = this.#known.get(key)?.find(({ prefix }) => text.startsWith(prefix));
    if (known !== undefined) {
      return { ...entry, record: { ...(record as DeclarationRecord), spec: known.spec } };
    }
    const end = text.indexOf(END_OF_SPEC);
    if (end >= 0) this.#remember(key, text.slice(0, end + END_OF_SPEC.length), record as DeclarationRecord);
    return entry;
  }

  #remember(service: string, prefix: string, { spec }: DeclarationRecord): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_SERVICES && !this.#known.has(service)) this.#known.delete(oldest!);
    const others = this.#known.get(service) ?? [];
    this.#known.set(service, [{ prefix, spec }, ...others].slice(0, MAX_PER_SERVICE));
  }
}
