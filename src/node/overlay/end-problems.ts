/** What is wrong with this node's end of the overlay, in words: the driver's own error, or what the machine shows. */
import type { EndProblem } from "../../overlay/index.ts";

export interface EndTroubles {
  /** What the driver cannot do, or cannot be had for; null: all is well. */
  readonly driver: string | null;
  /** Why no echoes can be had; null: they can. */
  readonly echoes: string | null;
}

const SEE_LOG = "portmesh retries; see the log of this node";

/** The first kind of problem found: the later ones are consequences of it. */
export function endProblems(
  { driver, echoes }: EndTroubles,
  inspect: () => readonly EndProblem[],
): EndProblem[] {
  if (driver !== null) return [problemOf(driver)];
  const found = inspect();
  if (found.length > 0 || echoes === null) return [...found];
  return [problemOf(echoes)];
}

/** Messages of drivers are "what is wrong; what to do". */
function problemOf(text: string): EndProblem {
  const end = text.indexOf("; ");
  return end < 0
    ? { message: text, fix: SEE_LOG }
    : { message: text.slice(0, end), fix: text.slice(end + 2) };
}
