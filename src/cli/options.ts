/** How options that may be given several times are gathered. */

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
