/**
 * Functions of src/overlay/route in a network namespace. With an argument this file is the process: a list of calls,
 * each a name and what comes after the session, JSON; it prints what each returned, or the error's code.
 */
import { resolve } from "node:path";
import * as route from "../../../src/overlay/index.ts";
import type { NetworkNode } from "../network/network-node.ts";

const SELF = resolve("test/support/overlay/rtnetlink-process.ts");

type Call = readonly [name: keyof typeof FUNCTIONS, ...args: unknown[]];

const FUNCTIONS = {
  listLinks: route.listLinks,
  findLink: route.findLink,
  createLink: route.createLink,
  setLink: route.setLink,
  deleteLink: route.deleteLink,
  listAddresses: route.listAddresses,
  addAddress: route.addAddress,
  removeAddress: route.removeAddress,
  listRoutes: route.listRoutes,
  addRoute: route.addRoute,
  replaceRoute: route.replaceRoute,
  removeRoute: route.removeRoute,
  findRouteTo: route.findRouteTo,
  listNeighbours: route.listNeighbours,
  replaceNeighbour: route.replaceNeighbour,
  removeNeighbour: route.removeNeighbour,
  listForwarding: route.listForwarding,
  replaceForwarding: route.replaceForwarding,
  removeForwarding: route.removeForwarding,
  underlayMtu: route.underlayMtu,
  localUnderlayMtu: route.localUnderlayMtu,
} as const;

/** What the calls returned, in order: null for nothing, "EEXIST" for a NetlinkError. */
export async function callOn(node: NetworkNode, ...calls: readonly Call[]): Promise<unknown[]> {
  return JSON.parse(await node.run(process.execPath, SELF, JSON.stringify(calls)));
}

function callAll(calls: readonly Call[]): unknown[] {
  const session = route.NetlinkSession.open();
  return calls.map(([name, ...args]) => {
    try {
      const call = FUNCTIONS[name] as (session: route.NetlinkSession, ...args: unknown[]) => unknown;
      return call(session, ...args) ?? null;
    } catch (error) {
      if (error instanceof route.NetlinkError) return error.code;
      throw error;
    }
  });
}

if (import.meta.main) console.log(JSON.stringify(callAll(JSON.parse(process.argv[2]!))));
