/** Why a driver is not available or cannot do what is asked. The message says what to grant or to change. */

export type OverlayErrorCode =
  /** A capability is missing. */
  | "not-permitted"
  /** The kernel lacks something. */
  | "unsupported"
  /** Another socket holds the UDP port. */
  | "port-taken"
  /** Another VXLAN device has the VNI on that port. */
  | "vni-taken"
  /** An interface of that name is not this node's. */
  | "device-taken"
  /** Another address or route is in the overlay's subnet. */
  | "subnet-taken"
  /** The driver's device was removed, and only a new driver can create it again. */
  | "device-gone"
  /** The kernel refused for another reason; the cause says which. */
  | "refused";

/** What another program holds may become free; what is not granted or not built in needs an operator. */
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

  /** Retrying later may work. */
  get isTransient(): boolean {
    return TRANSIENT.has(this.code);
  }
}
