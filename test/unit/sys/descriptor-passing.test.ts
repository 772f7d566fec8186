import { afterAll, afterEach, expect, test } from "bun:test";
import { fstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  MAX_DESCRIPTORS,
  MAX_MESSAGE_BYTES,
  receiveDescriptors,
  sendDescriptors,
} from "../../../src/sys/descriptor-passing.ts";
import { EAGAIN, EMSGSIZE, ENOENT } from "../../../src/sys/errno.ts";
import { InheritedSockets } from "../../../src/sys/inherited-sockets.ts";
import {
  acceptSeqpacket,
  connectSeqpacket,
  listenSeqpacket,
  peerProcess,
} from "../../../src/sys/seqpacket.ts";
import { AF_INET } from "../../../src/sys/sockaddr.ts";
import { close, udpSocket } from "../../../src/sys/socket.ts";
import { tempDir } from "../../support/os/temp-dir.ts";

const directory = tempDir();
afterAll(() => directory[Symbol.dispose]());

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
});

function pair(): [number, number] {
  const path = join(directory.path, "pair.sock");
  const listening = listenSeqpacket(path);
  const client = connectSeqpacket(path);
  const accepted = acceptSeqpacket(listening);
  expect(Math.min(listening, client, accepted)).toBeGreaterThanOrEqual(0);
  close(listening);
  open.push(client, accepted);
  return [client, accepted];
}

test("the socket is the owner's alone; the peer is known by process and user", () => {
  const path = join(directory.path, "own.sock");
  const listening = listenSeqpacket(path);
  open.push(listening);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(acceptSeqpacket(listening)).toBe(-EAGAIN);
  open.push(connectSeqpacket(path));
  const accepted = acceptSeqpacket(listening);
  open.push(accepted);
  expect(peerProcess(accepted)).toEqual({ pid: process.pid, uid: process.getuid!() });
  expect(connectSeqpacket(join(directory.path, "none.sock"))).toBe(-ENOENT);
  expect(connectSeqpacket(`/${"x".repeat(200)}`)).toBeLessThan(0);
});

function sockets(count: number): number[] {
  const fds = Array.from({ length: count }, () => udpSocket(AF_INET));
  open.push(...fds);
  return fds;
}

function receive(fd: number, maxBytes = MAX_MESSAGE_BYTES) {
  const received = receiveDescriptors(fd, maxBytes);
  if (typeof received === "number") throw new Error(`recvmsg: ${received}`);
  open.push(...received.fds);
  return received;
}

test("descriptors arrive as other numbers of the same open files, close-on-exec", () => {
  const [a, b] = pair();
  const sent = sockets(MAX_DESCRIPTORS);
  expect(sendDescriptors(a, Uint8Array.of(1, 2, 3), sent)).toBe(0);
  const { bytes, fds } = receive(b);
  expect([...bytes]).toEqual([1, 2, 3]);
  expect(fds.map((fd) => fstatSync(fd).ino)).toEqual(sent.map((fd) => fstatSync(fd).ino));
  expect(new Set([...fds, ...sent]).size).toBe(2 * MAX_DESCRIPTORS);
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fds[0]}`, "utf8"))![1]!;
  expect(Number.parseInt(flags, 8) & 0o2000000).not.toBe(0);
});

test("messages keep their boundaries; none yet is EAGAIN, the end is an empty one", () => {
  const [a, b] = pair();
  expect(receiveDescriptors(b, 10)).toBe(-EAGAIN);
  expect(sendDescriptors(a, Uint8Array.of(1), [])).toBe(0);
  expect(sendDescriptors(a, new Uint8Array(MAX_MESSAGE_BYTES), sockets(1))).toBe(0);
  expect(receive(b)).toEqual({ bytes: Uint8Array.of(1), fds: [] });
  const long = receive(b);
  expect([long.bytes.length, long.fds.length]).toEqual([MAX_MESSAGE_BYTES, 1]);
  close(open.splice(open.indexOf(a), 1)[0]!);
  expect(receive(b)).toEqual({ bytes: new Uint8Array(), fds: [] });
});

test("a message that is too long, or has too many descriptors, is refused by the sender", () => {
  const [a] = pair();
  expect(sendDescriptors(a, new Uint8Array(MAX_MESSAGE_BYTES + 1), [])).toBe(-EMSGSIZE);
  expect(sendDescriptors(a, new Uint8Array(), [])).toBe(-EMSGSIZE);
  const many = new Array<number>(MAX_DESCRIPTORS + 1).fill(sockets(1)[0]!);
  expect(sendDescriptors(a, Uint8Array.of(1), many)).toBe(-EMSGSIZE);
});

test("a message longer than the receiver wants is refused and its descriptors are closed", () => {
  const [a, b] = pair();
  const before = openDescriptors();
  expect(sendDescriptors(a, new Uint8Array(100), sockets(3))).toBe(0);
  expect(receiveDescriptors(b, 10)).toBe(-EMSGSIZE);
  expect(openDescriptors()).toBe(before + 3);
});

test("inherited sockets: each is taken once, those of an address by number, the rest is closed", () => {
  const [first, second, tenth, other] = sockets(4) as [number, number, number, number];
  const inherited = new InheritedSockets([
    ["tcp:[::]:80:10", tenth],
    ["tcp:[::]:80:2", second],
    ["tcp:[::]:80:0", first],
    ["tcp:[::]:8080:0", other],
  ]);
  expect(inherited.takeAll("tcp:[::]:80")).toEqual([first, second, tenth]);
  expect(inherited.takeAll("tcp:[::]:80")).toEqual([]);
  expect(inherited.take("admin")).toBeNull();
  expect(inherited.keys()).toEqual(["tcp:[::]:8080:0"]);
  inherited.closeRest();
  open.splice(open.indexOf(other), 1);
  expect(() => fstatSync(other)).toThrow();
  expect(inherited.size).toBe(0);
});

function openDescriptors(): number {
  return [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
}
