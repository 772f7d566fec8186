/** Values of options, checked by the rules of the model. They throw CommandFailure with the flag in front. */
import { CommandFailure, EXIT_WRONG } from "../../invocation.ts";

/** A zod schema, as far as it is used here. */
export interface Field<T> {
  safeParse(value: unknown): {
    readonly success: boolean;
    readonly data?: T;
    readonly error?: { readonly issues: readonly { readonly message: string }[] };
  };
}

export function wrong(flag: string, message: string): never {
  throw new CommandFailure(`${flag}: ${message}`, EXIT_WRONG);
}

/** undefined: not given. */
export function readOne<T>(flag: string, value: unknown, field: Field<T>): T | undefined {
  if (value === undefined) return undefined;
  const result = field.safeParse(value);
  if (!result.success) wrong(flag, result.error?.issues[0]?.message ?? "wrong");
  return result.data;
}

export function readNumber<T>(flag: string, text: string | undefined, field: Field<T>): T | undefined {
  return readOne(flag, text !== undefined && /^\d+$/.test(text) ? Number(text) : text, field);
}

/** "true" and "false" */
export function readFlag(flag: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== "true" && text !== "false") wrong(flag, `${JSON.stringify(text)} is not true or false`);
  return text === "true";
}
