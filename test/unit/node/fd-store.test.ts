import { expect, test } from "bun:test";
import { FdStore } from "../../../src/node/fd-store.ts";

function storing(inherited: readonly string[] = []) {
  const sent: string[] = [];
  const socket = {
    send: (assignments: Readonly<Record<string, string | number>>, fds: readonly number[] = []) => {
      sent.push(
        [...Object.entries(assignments).map(([name, value]) => `${name}=${value}`), ...fds].join(" "),
      );
    },
  };
  const store = new FdStore(socket, inherited);
  return { store, heard: () => sent.splice(0) };
}

test("what opens is stored under its key, what closes is taken out", () => {
  const { store, heard } = storing();
  store.follow([["tcp:[::]:80:0", 7]]);
  expect(heard()).toEqual(["FDSTORE=1 FDNAME=tcp%3A[%3A%3A]%3A80%3A0 FDPOLL=0 7"]);
  store.follow([
    ["tcp:[::]:80:0", 7],
    ["udp:[fe80::1%eth0]:53:1", 8],
  ]);
  expect(heard()).toEqual(["FDSTORE=1 FDNAME=udp%3A[fe80%3A%3A1%25eth0]%3A53%3A1 FDPOLL=0 8"]);
  store.follow([["udp:[fe80::1%eth0]:53:1", 8]]);
  expect(heard()).toEqual(["FDSTOREREMOVE=1 FDNAME=tcp%3A[%3A%3A]%3A80%3A0"]);
});

test("a socket that replaces another of the same key replaces it in the store", () => {
  const { store, heard } = storing();
  store.follow([["k", 7]]);
  heard();
  store.follow([["k", 9]]);
  expect(heard()).toEqual(["FDSTOREREMOVE=1 FDNAME=k", "FDSTORE=1 FDNAME=k FDPOLL=0 9"]);
});

test("what the start has not taken is taken out when the start is over, not before", () => {
  const { store, heard } = storing(["taken", "stale"]);
  store.follow([]);
  store.follow([["taken", 5]]);
  expect(heard()).toEqual(["FDSTORE=1 FDNAME=taken FDPOLL=0 5"]); // the manager has it, and keeps it once
  store.removeRest();
  expect(heard()).toEqual(["FDSTOREREMOVE=1 FDNAME=stale"]);
});

test("a process that stops for the next one leaves everything in the store", () => {
  const { store, heard } = storing();
  store.follow([["k", 7]]);
  heard();
  store.keep();
  store.follow([]);
  expect(heard()).toEqual([]);
});
