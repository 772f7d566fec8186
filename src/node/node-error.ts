/** Why a node cannot take part in its cluster, in a sentence with the fix in it. */
export class NodeError extends Error {
  override readonly name = "NodeError";

  constructor(
    readonly code: "cannot-bind" | "no-address" | "name-taken" | "data-dir-in-use" | "takeover-refused",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
