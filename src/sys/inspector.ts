/** The runtime opens a debugger that anyone who can reach its port can use, if environment variables ask for it. */

/** The variable that opens one; null: none does. */
export function inspectorVariable(env: Readonly<Record<string, string | undefined>>): string | null {
  const isSet = (name: string) => (env[name] ?? "") !== "";
  const named = Object.keys(env).find((name) => name.startsWith("BUN_INSPECT") && isSet(name));
  if (named !== undefined) return named;
  return env.BUN_OPTIONS?.includes("--inspect") === true ? "BUN_OPTIONS" : null;
}
