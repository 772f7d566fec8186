/** The overlay's log lines: which driver runs and why no better one, and changes of the overlay address. */
import type { OverlayConfig } from "../../config/index.ts";
import type { DriverName } from "../../overlay/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { Log } from "../log.ts";
import type { OpenedDriver } from "./open-driver.ts";
import { PathLog } from "./path-log.ts";

interface Repaired {
  readonly device: string;
  readonly what: string;
  readonly times: number;
  readonly waitMs: number;
}

export class OverlayLog {
  readonly #log: Log;
  /** Which nodes the overlay reaches. */
  readonly paths: Pick<PathLog, "changed" | "forget">;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.paths = new PathLog(log, clock);
  }

  opened(
    { name, passedOver }: OpenedDriver,
    address: string | null,
    { driver, encrypt }: OverlayConfig,
  ): void {
    const how = encrypt ? "encrypted" : "not encrypted";
    for (const { name: missed, reason } of passedOver)
      this.#log.warn({ driver: missed }, `overlay: cannot use driver ${missed}: ${reason}`);
    if (name !== "none")
      return this.#log.info(
        { driver: name, address },
        `overlay: driver ${name}, address ${address}, relays ${how}`,
      );
    const hint =
      driver === "auto" && passedOver.length === 0
        ? '; overlay.driver = "userspace" adds an encrypted address for each node (needs root or CAP_NET_ADMIN)'
        : "";
    this.#log.info({ driver: name }, `overlay: driver none: relays use node addresses, ${how}${hint}`);
  }

  /** A node of a lower name has the address that was this one's; null: the subnet has no other left. */
  moved(from: string, to: string | null): void {
    if (to === null)
      this.#log.error(
        { address: from },
        "overlay: no free address in overlay.subnet: relays use node addresses; set a larger subnet",
      );
    else
      this.#log.warn(
        { address: to },
        `overlay: another node uses the address ${from}; this node's overlay address is now ${to}`,
      );
  }

  /** The driver cannot be opened now, or an operation of it has failed. */
  refused(driver: DriverName, message: string): void {
    this.#log.error({ driver }, `overlay: ${message}; retrying`);
  }

  /** What failed does no longer. */
  recovered(device: string): void {
    this.#log.info({ device }, `overlay: ${device} works again`);
  }

  /** Another program had changed the device. @param times in a row @param waitMs before the next repair */
  repaired({ device, what, times, waitMs }: Repaired): void {
    const again =
      waitMs === 0
        ? ""
        : `; repair ${times} in a row, next one in ${Math.round(waitMs / 1000)} s at the earliest`;
    this.#log.warn({ device, times }, `overlay: ${device} repaired: ${what}${again}`);
  }

  /** Packets to a node do not go over the device. */
  blocked(node: string, reason: string): void {
    this.#log.warn({ node }, `overlay: cannot reach node ${node} over the overlay: ${reason}`);
  }

  noEchoes(error: Error): void {
    this.#log.error(
      { err: error },
      `overlay: cannot listen for echoes: ${error.message}; relays use node addresses`,
    );
  }
}
