/**
 * rtnetlink in a namespace, checked against what ip(8) and bridge(8) see there.
 *
 *   n1 10.99.x.1 eth0 ── bridge ── n2 10.99.x.2
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { callOn } from "../support/overlay/rtnetlink-process.ts";

const AF_INET = 2;
const AF_INET6 = 10;

describe.skipIf(lacksNamespaces())("rtnetlink", () => {
  let network: Namespaces;
  let n1: NetworkNode;
  let n2: NetworkNode;

  beforeEach(() => {
    network = Namespaces.create(2);
    [n1, n2] = network.nodes as [NetworkNode, NetworkNode];
  });

  afterEach(() => {
    network.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  function ip(command: string): Promise<string> {
    return n1.run(findProgram("ip")!, ...command.split(" "));
  }

  test("links: found by name, by index, not at all", async () => {
    const [{ ifindex, address }] = JSON.parse(await ip("-j link show eth0"));
    const eth0 = {
      index: ifindex,
      name: "eth0",
      kind: "veth",
      isUp: true,
      mtuBytes: 1500,
      macAddress: address,
    };
    const [links, byName, byIndex, none, noIndex] = await callOn(
      n1,
      ["listLinks"],
      ["findLink", "eth0"],
      ["findLink", ifindex],
      ["findLink", "eth7"],
      ["findLink", 4000],
    );
    expect(links).toEqual(expect.arrayContaining([expect.objectContaining(eth0)]));
    expect(links).toEqual(expect.arrayContaining([expect.objectContaining({ name: "lo", mtuBytes: 65536 })]));
    expect(byName).toMatchObject(eth0);
    expect(byIndex).toMatchObject(eth0);
    expect([none, noIndex]).toEqual([null, null]);
  });

  test("links: made, changed, removed, each of them once or twice", async () => {
    const change = {
      isUp: true,
      alias: "one of mine",
      gsoMaxBytes: 32768,
      groMaxBytes: 40000,
      mtuBytes: 1400,
    };
    const changed = await callOn(
      n1,
      ["createLink", { name: "br7", kind: "bridge", group: 7 }],
      ["createLink", { name: "br7", kind: "bridge" }],
      ["createLink", { name: "x7", kind: "nonsense" }],
      ["setLink", "br7", { hasIpv6LinkLocal: false }],
      ["setLink", "br7", { ...change, macAddress: "02:00:00:00:00:07" }],
      ["setLink", "br7", change],
      ["setLink", "eth7", { isUp: true }],
      ["findLink", "br7"],
    );
    expect(changed.slice(0, 7)).toEqual([null, "EEXIST", "EOPNOTSUPP", null, null, null, "ENODEV"]);
    expect(changed[7]).toMatchObject({
      ...change,
      macAddress: "02:00:00:00:00:07",
      group: 7,
      kind: "bridge",
    });
    const [seen] = JSON.parse(await ip("-d -j link show br7"));
    expect(seen).toMatchObject({
      flags: expect.arrayContaining(["UP"]),
      ifalias: "one of mine",
      mtu: 1400,
      address: "02:00:00:00:00:07",
      inet6_addr_gen_mode: "none",
      gso_max_size: 32768,
      gro_max_size: 40000,
    });
    expect(
      await callOn(n1, ["setLink", "br7", { isUp: false, alias: "" }], ["findLink", "br7"]),
    ).toMatchObject([null, { isUp: false, alias: "", mtuBytes: 1400 }]);
    expect(await callOn(n1, ["deleteLink", "br7"], ["deleteLink", "br7"], ["findLink", "br7"])).toEqual([
      null,
      null,
      null,
    ]);
  });

  test("links: what they have counted", async () => {
    await ip("link set lo up");
    const [before] = (await callOn(n1, ["findLink", "lo"])) as [{ counters: Record<string, number> }];
    await n1.run("ping", "-n", "-c", "2", "-i", "0.2", "127.0.0.1");
    const [after] = (await callOn(n1, ["findLink", "lo"])) as [{ counters: Record<string, number> }];
    expect(after.counters.receivedPackets! - before.counters.receivedPackets!).toBe(4);
    expect(after.counters.sentBytes! - before.counters.sentBytes!).toBe(4 * 84);
    expect(after.counters.sendErrors).toBe(0);
  });

  test.each([
    ["192.0.2.7", 24],
    ["2001:db8::7", 64],
  ])("addresses: %s/%d", async (address, prefixLength) => {
    const [{ ifindex: interfaceIndex }] = JSON.parse(await ip("-j link show eth0"));
    const entry = { interfaceIndex, address, prefixLength };
    const [first, again, listed] = await callOn(
      n1,
      ["addAddress", entry],
      ["addAddress", entry],
      ["listAddresses"],
    );
    expect([first, again]).toEqual([null, null]);
    expect(listed).toEqual(expect.arrayContaining([entry]));
    expect(await ip("-o address show eth0")).toContain(` ${address}/${prefixLength} `);
    const removed = await callOn(
      n1,
      ["removeAddress", entry],
      ["removeAddress", entry],
      ["listAddresses", interfaceIndex],
      ["listAddresses", 1],
    );
    expect(removed.slice(0, 2)).toEqual([null, null]);
    expect(removed[2]).not.toEqual(expect.arrayContaining([entry]));
    expect(removed[2]).toEqual(
      expect.arrayContaining([{ interfaceIndex, address: n1.address, prefixLength: 24 }]),
    );
    expect(removed[3]).toEqual(
      expect.arrayContaining([{ interfaceIndex: 1, address: "127.0.0.1", prefixLength: 8 }]),
    );
  });

  test("routes: added once, replaced, over a gateway, removed", async () => {
    const [{ ifindex: interfaceIndex }] = JSON.parse(await ip("-j link show eth0"));
    const direct = { destination: "192.0.2.0", prefixLength: 24, interfaceIndex };
    const metrics = { mtuBytes: 1300, isMtuLocked: true, advertisedMssBytes: 1200 };
    const viaGateway = {
      ...direct,
      destination: "198.51.100.0",
      gateway: n2.address,
      preferredSource: n1.address,
    };
    const added = await callOn(
      n1,
      ["addRoute", direct],
      ["addRoute", direct],
      ["replaceRoute", { ...direct, ...metrics }],
      ["replaceRoute", viaGateway, 112],
      ["listRoutes", AF_INET, interfaceIndex],
      ["findRouteTo", "192.0.2.9"],
      ["findRouteTo", "198.51.100.9"],
    );
    expect(added.slice(0, 4)).toEqual([null, "EEXIST", null, null]);
    expect(added[4]).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...direct, ...metrics, protocol: 4 }),
        expect.objectContaining({ ...viaGateway, protocol: 112 }),
      ]),
    );
    expect(added[5]).toMatchObject({ interfaceIndex, source: n1.address, gateway: null, mtuBytes: 1300 });
    expect(added[6]).toMatchObject({ interfaceIndex, gateway: n2.address, mtuBytes: 1500 });
    expect(await ip("-o route")).toContain(
      "192.0.2.0/24 dev eth0 proto static scope link mtu lock 1300 advmss 1200",
    );
    expect(await ip("-o route")).toContain(
      `198.51.100.0/24 via ${n2.address} dev eth0 proto 112 src ${n1.address}`,
    );

    const other = { ...direct, interfaceIndex: 1 };
    const removed = await callOn(
      n1,
      ["removeRoute", other],
      ["findRouteTo", "192.0.2.9"],
      ["removeRoute", direct],
      ["removeRoute", direct],
      ["removeRoute", viaGateway],
      ["findRouteTo", "192.0.2.9"],
    );
    expect(removed).toMatchObject([null, { mtuBytes: 1300 }, null, null, null, "ENETUNREACH"]);
  });

  test("routes of IPv6", async () => {
    await ip("address add 2001:db8::1/64 dev eth0 nodad");
    const [{ ifindex: interfaceIndex }] = JSON.parse(await ip("-j link show eth0"));
    const route = { destination: "2001:db8:7::", prefixLength: 48, interfaceIndex, gateway: "2001:db8::2" };
    const results = await callOn(
      n1,
      ["addRoute", { ...route, mtuBytes: 1280 }],
      ["listRoutes", AF_INET6],
      ["findRouteTo", "2001:db8:7::1"],
      ["removeRoute", route],
      ["removeRoute", route],
      ["findRouteTo", "2001:db8:7::1"],
    );
    expect(results[1]).toEqual(
      expect.arrayContaining([expect.objectContaining({ ...route, mtuBytes: 1280 })]),
    );
    expect(results[2]).toMatchObject({ interfaceIndex, gateway: "2001:db8::2", mtuBytes: 1280 });
    expect(results.slice(3)).toEqual([null, null, "ENETUNREACH"]);
  });

  test("neighbours: permanent ones", async () => {
    const [{ ifindex: interfaceIndex }] = JSON.parse(await ip("-j link show eth0"));
    const neighbour = { interfaceIndex, address: "10.99.0.9", macAddress: "02:00:00:00:00:09" };
    const moved = { ...neighbour, macAddress: "02:00:00:00:00:0a" };
    const results = await callOn(
      n1,
      ["replaceNeighbour", neighbour],
      ["replaceNeighbour", moved],
      ["listNeighbours", interfaceIndex],
      ["listNeighbours", 1],
    );
    expect(results).toEqual([null, null, [moved], []]);
    expect(await ip("neighbour show nud permanent")).toContain("10.99.0.9 dev eth0 lladdr 02:00:00:00:00:0a");
    expect(
      await callOn(
        n1,
        ["removeNeighbour", moved],
        ["removeNeighbour", moved],
        ["listNeighbours", interfaceIndex],
      ),
    ).toEqual([null, null, []]);
  });

  test("the underlay's MTU: what path MTU discovery has found counts", async () => {
    const far = "203.0.113.9";
    await n2.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1");
    await n2.run(findProgram("ip")!, ..."route add 203.0.113.0/24 mtu 1300 via".split(" "), network.outside);
    await ip(`route add ${far}/32 via ${n2.address}`);
    expect(await callOn(n1, ["underlayMtu", far])).toEqual([1500]);
    await expect(n1.run("ping", "-n", "-c", "1", "-M", "do", "-s", "1400", "-W", "1", far)).rejects.toThrow();
    expect(await callOn(n1, ["underlayMtu", far])).toEqual([1300]);
  });

  test("the underlay's MTU: of a route, of an interface, of this end", async () => {
    const far = "192.0.2.9";
    await ip(`route add default via ${n2.address}`);
    await ip(`route add 198.51.100.0/24 via ${n2.address} mtu 1400`);
    const ask = () =>
      callOn(
        n1,
        ["underlayMtu", far],
        ["underlayMtu", "198.51.100.1"],
        ["underlayMtu", "2001:db8::1"],
        ["localUnderlayMtu", n1.address],
        ["localUnderlayMtu", "0.0.0.0"],
        ["localUnderlayMtu", "127.0.0.1"],
        ["localUnderlayMtu", "::"],
      );
    expect(await ask()).toEqual([1500, 1400, null, 1500, 1500, 65536, 1500]);
    await ip("link set eth0 mtu 1380");
    expect(await ask()).toEqual([1380, 1380, null, 1380, 1380, 65536, 1500]);
  });
});
