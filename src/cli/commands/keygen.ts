/** `portmesh keygen`: a key for cluster.keys. */
import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";

/** AES-256, as memberlist takes it: 16, 24 or 32 bytes. */
const KEY_BYTES = 32;
const HELP = `
One line: base64 of ${KEY_BYTES} random bytes. Every node of a cluster needs the same keys: the first
encrypts, all decrypt.

Examples:
  portmesh keygen     # then, in the file of every node: [cluster] keys = ["…"]
  (umask 077; portmesh keygen > /etc/portmesh/keys)     # or: [cluster] keys_file = "keys"`;

export function addKeygen(program: Command, invocation: Invocation): void {
  program
    .command("keygen")
    .summary("print a new key for cluster.keys")
    .description("Prints a new key for cluster.keys.")
    .addHelpText("after", HELP)
    .action(() => invocation.print(`${randomBytes(KEY_BYTES).toString("base64")}\n`));
}
