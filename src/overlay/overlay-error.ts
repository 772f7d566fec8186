/** Why a driver cannot be had or does not do what it was told. The message says what to grant or to change. */

export type OverlayErrorCode =
  /** A capability is missing. */
  | "not-permitted"
  /** The kernel lacks something. */
  | "unsupported"
  /** Somebody else holds the UDP port. */
  | "port-taken"
  /** Somebody else's VXLAN device has the VNI on that port. */
  | "vni-taken"
  /** An interface of that name is not this node's. */
  | "device-taken"
  /** Somebody else's address or route is in the overlay's subnet. */
  | "subnet-taken"
  /** The kernel refused for another reason; the cause says which. */
  | "refused";

export class OverlayError extends Error {
  override readonly name = "OverlayError";

  constructor(
    readonly code: OverlayErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
