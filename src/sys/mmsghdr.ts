/**
 * The layout of what recvmmsg(2) and sendmmsg(2) take.
 *
 *   struct mmsghdr, 64 bytes
 *      0 name*          8 name length u32 · 0     16 iovec*        24 iovec count u64
 *     32 control*      40 control length u64      48 flags i32 · 0 56 length u32 · 0
 *   struct iovec, 16 bytes
 *      0 base*          8 length u64
 *
 * glibc and the kernel have u64 counts, musl has u32 and zero padding: on little-endian machines, and Linux on x64 and
 * arm64 is, both are a low word and a zero.
 */
export const HEADER_BYTES = 64;
export const IOVEC_BYTES = 16;
/** Room for any struct sockaddr of IP. */
export const NAME_BYTES = 32;

/** int32 words inside struct mmsghdr */
export const NAME = 0;
export const NAME_LENGTH = 2;
export const IOVEC = 4;
export const IOVEC_COUNT = 6;
export const CONTROL = 8;
export const CONTROL_LENGTH = 10;
export const FLAGS = 12;
export const LENGTH = 14;
/** and inside struct iovec */
export const IOVEC_LENGTH = 2;
