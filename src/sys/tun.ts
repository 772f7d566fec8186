/**
 * A TUN device: the kernel's IPv4 and IPv6 packets by read and write, each behind a virtio header with the work
 * left to do: checksums, segmentation. The device is there as long as its descriptor is.
 * [linux/if_tun.h, linux/virtio_net.h]
 *
 *   struct virtio_net_hdr, host order, 10 bytes (src/wire/virtio-header.ts)
 */
import type { Pointer } from "bun:ffi";
import { scratch } from "./arena.ts";
import { EACCES, EBUSY, EEXIST, EINVAL, EPERM, errno, SysError } from "./errno.ts";
import { libc } from "./libc.ts";
import { close } from "./socket.ts";

const PATH = "/dev/net/tun";
const O_RDWR_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
/** TUN_EXCL: only a device that is not there yet. */
const IFF_TUN_NO_PI_VNET_HDR_EXCL = 0x0001 | 0x1000 | 0x4000 | 0x8000;
const VNET_HEADER_BYTES = 10;
/** IFNAMSIZ without the zero byte, and the struct's size. */
const NAME_BYTES_MAX = 15;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;
/** Best first. ECN segmentation is left out: the kernel cuts the few packets with CWR itself. */
const OFFLOADS = [
  { flags: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6, name: "tcp-and-udp" },
  { flags: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, name: "tcp" },
  { flags: 0, name: "none" },
] as const;

/** What the kernel hands over uncut: TCP and UDP super-packets, TCP only, nothing. */
export type TunOffload = (typeof OFFLOADS)[number]["name"];

export interface Tun {
  readonly fd: number;
  readonly offload: TunOffload;
}

/** Why there is no TUN device. */
export type TunProblem = "absent" | "not-permitted" | "name-taken" | "refused";

export class TunError extends SysError {
  constructor(
    call: string,
    errnoValue: number,
    readonly problem: TunProblem,
  ) {
    super(call, errnoValue);
  }
}

/** Makes the device `name`, down and without addresses. Throws TunError. */
export function openTun(name: string): Tun {
  const fd = openControl();
  try {
    makeDevice(fd, name);
    return { fd, offload: setOffload(fd) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A device of another process, as its descriptor comes from there. */
export function adoptTun(fd: number): Tun {
  return { fd, offload: setOffload(fd) };
}

/** One packet with its header to `address`: its length, or -errno; -EAGAIN: there is none. */
export function readPacket(fd: number, address: Pointer, length: number): number {
  const count = libc.read(fd, address, length);
  return count >= 0 ? count : -errno();
}

/** One packet from `count` struct iovec: its length, or -errno. */
export function writePacket(fd: number, iovecs: Pointer, count: number): number {
  const written = libc.writev(fd, iovecs, count);
  return written >= 0 ? written : -errno();
}

function openControl(): number {
  scratch.bytes.set(Buffer.from(`${PATH}\0`));
  const fd = libc.open(scratch.address(0), O_RDWR_NONBLOCK_CLOEXEC);
  if (fd >= 0) return fd;
  const error = errno();
  const isPermitted = error !== EPERM && error !== EACCES;
  throw new TunError(`open ${PATH}`, error, !isPermitted ? "not-permitted" : "absent");
}

function makeDevice(fd: number, name: string): void {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX)
    throw new TunError(TUNSETIFF_NAME, EINVAL, "refused");
  scratch.bytes.fill(0, 0, IFREQ_BYTES);
  scratch.bytes.set(bytes);
  scratch.view.setUint16(IFREQ_FLAGS, IFF_TUN_NO_PI_VNET_HDR_EXCL, true);
  const made = control(fd, TUNSETIFF, 0);
  if (made === -EBUSY || made === -EEXIST || made === -EINVAL)
    throw new TunError(TUNSETIFF_NAME, -made, "name-taken");
  if (made === -EPERM) throw new TunError(TUNSETIFF_NAME, EPERM, "not-permitted");
  if (made < 0) throw new TunError(TUNSETIFF_NAME, -made, "refused");
  scratch.int32[0] = VNET_HEADER_BYTES;
  const sized = control(fd, TUNSETVNETHDRSZ, 0);
  if (sized < 0) throw new TunError("ioctl TUNSETVNETHDRSZ", -sized, "refused");
}

const TUNSETIFF_NAME = "ioctl TUNSETIFF";

/** A kernel that does not know an offload refuses all of them. */
function setOffload(fd: number): TunOffload {
  for (const { flags, name } of OFFLOADS)
    if (libc.ioctl(fd, TUNSETOFFLOAD, flags as Pointer) >= 0) return name;
  return "none";
}

function control(fd: number, request: number, at: number): number {
  return libc.ioctl(fd, request, scratch.address(at)) >= 0 ? 0 : -errno();
}
