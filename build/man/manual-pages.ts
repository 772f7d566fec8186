/** The manual pages, by file name. The same commit gives the same text. */
import { readFileSync } from "node:fs";
import { createProgram } from "../../src/cli/command-line.ts";
import { commandPage, type PageOptions } from "./command-page.ts";
import { configPage, type Schema } from "./config-page.ts";

/** Keys that name files, which the file that has all others cannot. */
const ALTERNATIVES = {
  cluster: { keys_file: "/etc/portmesh/cluster.keys" },
  admin: {
    tokens_file: "/etc/portmesh/admin.tokens",
    tls_cert: "/etc/portmesh/admin.pem",
    tls_key: "/etc/portmesh/admin.key",
  },
};
/** Making the commands prints nothing; running one would. */
const QUIET = { env: {}, print: () => {}, complain: () => {}, exitCode: 0, isDaemon: false };

export function manualPages(options: PageOptions): Readonly<Record<string, string>> {
  const schema: Schema = JSON.parse(readFileSync("config/portmesh.schema.json", "utf8"));
  const everything: unknown = JSON.parse(readFileSync("config/everything.json", "utf8"));
  const minimal = readFileSync("config/minimal.toml", "utf8");
  return {
    "portmesh.1": commandPage(createProgram(QUIET), options),
    "portmesh.toml.5": configPage({ schema, examples: [everything, ALTERNATIVES], minimal }, options),
  };
}
