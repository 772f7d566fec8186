import { expect, test } from "bun:test";
import {
  AF_BRIDGE,
  encodeAddressMessage,
  encodeEventFilter,
  encodeLinkMessage,
  encodeNeighbourMessage,
  encodeNetlinkMessage,
  encodeRouteMessage,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from "../../../../src/wire/netlink/index.ts";
import { runProgram } from "../../../support/os/bpf-machine.ts";

const AF_INET = 2;
const INDEX = 0x1234;
const PROGRAM = encodeEventFilter({
  interfaceIndex: INDEX,
  network: Uint8Array.of(10, 200, 3, 4),
  prefixLength: 16,
});

function passes(type: number, payload: Uint8Array): boolean {
  const message = encodeNetlinkMessage({ type, flags: 0, sequence: 0, portId: 0, payload });
  return runProgram(PROGRAM, Buffer.from(message)) !== 0;
}

const link = (index: number) => encodeLinkMessage({ index, flags: 0, change: 0, name: "portmesh0" });
const address = (interfaceIndex: number) =>
  encodeAddressMessage({ family: AF_INET, prefixLength: 16, scope: 0, interfaceIndex });
const neighbour = (interfaceIndex: number, family = AF_INET) =>
  encodeNeighbourMessage({ family, interfaceIndex, state: 0, flags: 0 });

function route(destination: readonly number[] | undefined, outputInterface?: number): Uint8Array {
  return encodeRouteMessage({
    ...{ family: AF_INET, destinationLength: 32, table: 254, protocol: 4, scope: 0, type: 1, flags: 0 },
    destination: destination === undefined ? undefined : Uint8Array.from(destination),
    outputInterface,
    priority: 7,
  });
}

test.each<[string, number, Uint8Array, boolean]>([
  ["the interface", RTM_NEWLINK, link(INDEX), true],
  ["another interface", RTM_NEWLINK, link(INDEX + 1), false],
  ["an interface of the swapped index", RTM_DELLINK, link(0x3412), false],
  ["its address", RTM_DELADDR, address(INDEX), true],
  ["another one's address", RTM_DELADDR, address(2), false],
  ["its neighbour", RTM_DELNEIGH, neighbour(INDEX), true],
  ["its forwarding entry", RTM_NEWNEIGH, neighbour(INDEX, AF_BRIDGE), true],
  ["another one's neighbour", RTM_NEWNEIGH, neighbour(2), false],
  ["a route over it", RTM_NEWROUTE, route([192, 0, 2, 1], INDEX), true],
  ["a route into the network over another one", RTM_DELROUTE, route([10, 200, 255, 1], 2), true],
  ["a route into the network over none", RTM_NEWROUTE, route([10, 200, 0, 1]), true],
  ["a route beside the network", RTM_NEWROUTE, route([10, 201, 0, 1], 2), false],
  ["the default route", RTM_NEWROUTE, route(undefined, 2), false],
  ["a routing rule", RTM_DELRULE, route(undefined), true],
])("%s", (_, type, payload, isPassed) => {
  expect(passes(type, payload)).toBe(isPassed);
});
