/** What is wrong with this node's end of the overlay, in words: the driver's own error, or what the machine shows. */
import type { EndProblem } from "../../overlay/index.ts";

export interface EndErrors {
  /** Of the driver, as it was last told what to do, or was to be opened again; null: it has done it. */
  readonly driver: Error | null;
  /** Why no echoes can be had; null: they can. */
  readonly echoes: Error | null;
}

const SEE_LOG = "it is tried again; the log of this node says more";

/** The first kind that there is: what follows from it is no cause. */
export function endProblems(
  { driver, echoes }: EndErrors,
  inspect: () => readonly EndProblem[],
): EndProblem[] {
  if (driver !== null) return [problemOf(driver)];
  const found = inspect();
  if (found.length > 0 || echoes === null) return [...found];
  return [problemOf(echoes)];
}

/** Errors of drivers are "what is wrong; what to do". */
function problemOf({ message }: Error): EndProblem {
  const end = message.indexOf("; ");
  return end < 0
    ? { message, fix: SEE_LOG }
    : { message: message.slice(0, end), fix: message.slice(end + 2) };
}
