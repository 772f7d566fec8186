/** A request that the kernel refused, with its own words where it has some (NETLINK_EXT_ACK). Branch on `code`. */
import { errnoCode, errnoText } from "../../sys/errno.ts";

export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** "EPERM" */
  readonly code: string;

  /**
   * @param what "create link portmesh0"
   * @param errnoValue positive errno
   * @param kernelText "" without
   */
  constructor(
    what: string,
    readonly errnoValue: number,
    readonly kernelText: string,
    options?: ErrorOptions,
  ) {
    const reason = kernelText === "" ? errnoText(errnoValue) : `${errnoText(errnoValue)}: ${kernelText}`;
    super(`cannot ${what}: ${reason}`, options);
    this.code = errnoCode(errnoValue);
  }
}
