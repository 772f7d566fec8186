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
  /** Somebody has removed the driver's device, and it cannot be made again under the driver. */
  | "device-gone"
  /** The kernel refused for another reason; the cause says which. */
  | "refused";

/** What somebody else holds may be free a moment later; what is not granted or not built in needs a person. */
const TRANSIENT: ReadonlySet<OverlayErrorCode> = new Set([
  "port-taken",
  "vni-taken",
  "device-taken",
  "subnet-taken",
  "device-gone",
]);

export class OverlayError extends Error {
  override readonly name = "OverlayError";

  constructor(
    readonly code: OverlayErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Trying again later may do. */
  get isTransient(): boolean {
    return TRANSIENT.has(this.code);
  }
}
