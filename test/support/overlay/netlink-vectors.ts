/** Netlink messages as ip(8) and bridge(8) of iproute2 6.1 sent them, and as Linux 6.18 answered; taken with strace. */

/** ip link add vx0 type vxlan id 4242 dstport 4789 local 10.1.2.3 nolearning udpcsum df set */
export const NEW_VXLAN = Uint8Array.fromHex(
  "00000000000000000000000000000000080003007678300044001200" + // name, link info
    "0900010076786c616e000000" + // kind
    "34000200050012000100000005001d0001000000080001009210000008000400" +
    "0a010203050007000000000006000f0012b50000",
);

/** ip link set vx0 mtu 1450 up address 02:42:0a:01:02:03 */
export const SET_LINK = Uint8Array.fromHex(
  "0000000002000000010000000100000008000400aa0500000a00010002420a0102030000",
);

/** ip address add 10.210.0.1/16 dev vx0 */
export const NEW_ADDRESS = Uint8Array.fromHex("0210000002000000080002000ad20001080001000ad20001");

/** ip route replace 10.210.0.2/32 dev vx0 proto 112 scope link mtu lock 1400 advmss 1360 */
export const NEW_ROUTE = Uint8Array.fromHex(
  "02200000fe70fd0100000000080001000ad200020800040002000000" +
    "1c00080008000200780500000800080050050000" + // metrics
    "0800010004000000",
);

/** ip neighbour replace 10.210.0.2 lladdr 02:42:0a:d2:00:02 dev vx0 nud permanent */
export const NEW_NEIGHBOUR = Uint8Array.fromHex(
  "020000000200000080000000080001000ad200020a00020002420ad200020000",
);

/** bridge fdb replace 02:42:0a:d2:00:02 dev vx0 dst 10.1.2.4 port 4790 self permanent */
export const NEW_FORWARDING = Uint8Array.fromHex(
  "0700000002000000c00002000a00020002420ad200020000080001000a0102040600060012b60000",
);

/** tc qdisc add dev vx0 ingress */
export const NEW_INGRESS = Uint8Array.fromHex(
  "00000000020000000000fffff1ffffff00000000" + "0c000100696e677265737300",
);

/** tc filter add dev vx0 ingress protocol all prio 1 handle 1 bpf da bytecode "2,40 0 0 12,6 0 0 0," */
export const NEW_FILTER = Uint8Array.fromHex(
  "000000000200000001000000f2ffffff00030100" +
    "0800010062706600" +
    "2800028006000400020000001400050028000000" +
    "0c00000006000000000000000800080001000000",
);

/** The whole answer to ip link add vx1 type vxlan id 4242 dstport 4789 local 10.1.2.3 nolearning, beside vx0. */
export const VNI_EXISTS = Uint8Array.fromHex(
  "ac00000002000002f812046ba04e0000" + // NLMSG_ERROR, ACK_TLVS
    "efffffff5c00000010000506f812046b00000000" +
    "0000000000000000000000000000000008000300767831003400120009000100" +
    "76786c616e000000240002000800010092100000" +
    "080004000a010203050007000000000006000f0012b50000" +
    "39000100" +
    Buffer.from("A VXLAN device with the specified VNI already exists\0").toString("hex") +
    "000000",
);
