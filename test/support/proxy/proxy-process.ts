/**
 * A proxy in a process of its own, for limits that are the process's. Argument: a routing table. Prints "ready", and at
 * the end of its input the first service's status.
 */
import { SpliceProxy } from "../../../src/proxy/index.ts";

const proxy = await SpliceProxy.start({ workers: 1, onListeners: () => {} });
await proxy.commit(proxy.prepare(JSON.parse(process.argv[2]!)));
console.log("ready");
await Bun.stdin.text();
console.log(JSON.stringify(proxy.status().services[0]));
await proxy.stop();
process.exit(0);
