/**
 * Reads fields of parsed JSON whose shape nobody vouches for. The first problem is kept, with its path; after that
 * every field reads as something harmless, so that a decoder states its shape once and asks for the problem at the end.
 * Unknown fields are not looked at: newer versions may add some.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

export class FieldReader {
  /** "spec.publish[0].target: 70000 is outside 1..65535"; null while all is well. */
  problem: string | null = null;

  object(value: unknown, path: string): JsonObject {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
    this.fail(path, "is no object");
    return {};
  }

  list(value: unknown, path: string, maxLength: number): readonly unknown[] {
    if (!Array.isArray(value)) this.fail(path, "is no list");
    else if (value.length > maxLength)
      this.fail(path, `has ${value.length} entries: at most ${maxLength} are allowed`);
    else return value;
    return [];
  }

  /** At most `maxLength` characters, none of them a control character. */
  text(value: unknown, path: string, maxLength: number): string {
    if (typeof value !== "string") this.fail(path, "is no text");
    else if (value.length > maxLength) this.fail(path, `is longer than ${maxLength} characters`);
    else if (/\p{Cc}/u.test(value)) this.fail(path, "contains a control character");
    else return value;
    return "";
  }

  /** A text that `isValid` takes. */
  named(value: unknown, path: string, what: string, isValid: (text: string) => boolean): string {
    if (typeof value === "string" && isValid(value)) return value;
    this.fail(path, `is no ${what}`);
    return "";
  }

  integer(value: unknown, path: string, min: number, max: number): number {
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)
      return value as number;
    this.fail(path, typeof value === "number" ? `${value} is outside ${min}..${max}` : "is no number");
    return min;
  }

  flag(value: unknown, path: string): boolean {
    if (typeof value === "boolean") return value;
    this.fail(path, "is neither true nor false");
    return false;
  }

  choice<const T extends string>(value: unknown, path: string, choices: readonly T[]): T {
    if (choices.includes(value as T)) return value as T;
    this.fail(path, `is none of ${choices.join(", ")}`);
    return choices[0]!;
  }

  base64(value: unknown, path: string): Uint8Array {
    try {
      return Uint8Array.fromBase64(String(value));
    } catch {
      this.fail(path, "is no base64");
      return new Uint8Array();
    }
  }

  fail(path: string, why: string): void {
    this.problem ??= path === "" ? why : `${path}: ${why}`;
  }
}
