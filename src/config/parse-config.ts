/**
 * File text -> Config, or every problem at once. Reads nothing but the host name, and never throws:
 * whatever the text is, the answer is a configuration or a list of problems in file order.
 */

import { hostname } from "node:os";
import { expandRanges, MAX_SERVICES_PER_FILE } from "../model/index.ts";
import type { ClusterConfig, Config, ServiceConfig } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { ConfigDocument, valueAt } from "./document.ts";
import { readJson } from "./json-document.ts";
import { firstProblems, type Path, type Problem } from "./problem.ts";
import { readServices, readSettings, type ServiceReading, type SettingsReading } from "./readings.ts";
import { adminSchema, type ConfigFile, directory, GOSSIP_PORT } from "./schema.ts";
import { countValues, MAX_VALUES } from "./size-limits.ts";
import { readToml } from "./toml-document.ts";

/**
 * What only the rest of the program knows of a configuration that is right in itself; `report` makes it wrong. Not called
 * when something else is wrong already.
 */
export type ConfigCheck = (config: Config, report: ReportProblem) => void;
export type ReportProblem = (path: Path, message: string) => void;

export type ConfigResult = { readonly config: Config } | WrongConfig;

export interface WrongConfig {
  readonly problems: Problem[];
  /** Where a node that runs an older version of the file can be asked; absent: that part of the file is wrong too. */
  readonly places?: ConfigPlaces;
}

/** null: the standard ones. */
export interface ConfigPlaces {
  readonly socket: string | null;
  readonly dataDir: string | null;
}

/** What an editor on a full disk leaves; applied, it would close every port. */
const EMPTY = "empty: it sets no key; for a node without services of its own, set services = []";
const YAML = "YAML is not supported: write TOML, with a table [[services]] for each service, or JSON";

/** TOML or JSON by the extension of `file`, else by the first character that is not a space. */
export function parseConfig(text: string, file: string, check: ConfigCheck = () => {}): ConfigResult {
  const withoutBom = text.replace(/^\uFEFF/, "");
  if (withoutBom.trim() === "") return refuseFile(file, EMPTY);
  const values = countValues(withoutBom);
  if (values > MAX_VALUES)
    return refuseFile(file, `about ${values} values: at most ${MAX_VALUES} are allowed`);
  const document = readDocument(withoutBom, file);
  if (document.isBroken)
    return looksLikeYaml(withoutBom, file) ? refuseFile(file, YAML) : { problems: document.problems };
  limitServices(document);
  const settings = readSettings(document);
  const services = readServices(document);
  crossCheck(document, settings, services);
  if (document.problems.length === 0 && !setsKeys(document.value)) return refuseFile(file, EMPTY);
  const config = document.problems.length === 0 ? deepFreeze(build(settings.data!, services)) : null;
  if (config !== null)
    check(config, (path, message) => document.report(path, valueAt(document.value, path), message));
  if (config !== null && document.problems.length === 0) return { config };
  const problems = firstProblems(document.problems);
  return { problems, ...placesIn(document.value) };
}

function placesIn(file: unknown): Pick<WrongConfig, "places"> {
  const [admin, dataDir] = [valueAt(file, ["admin"]), valueAt(file, ["node", "data_dir"])];
  const [socket, state] = [adminSchema.safeParse(admin), directory.optional().safeParse(dataDir)];
  if (!socket.success || !state.success) return {};
  return { places: { socket: socket.data.socket ?? null, dataDir: state.data ?? null } };
}

/** Tables alone set nothing: `[proxy]` without a line below it is as empty as no text at all. */
function setsKeys(value: unknown): boolean {
  const isTable = typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
  return !isTable || Object.values(value).some(setsKeys);
}

/** A problem of the file as a whole. */
export function refuseFile(file: string, message: string, line = 0, column = 0): WrongConfig {
  return { problems: [{ file, line, column, key: "", value: undefined, message }] };
}

function readDocument(text: string, file: string): ConfigDocument {
  const read = isJson(text, file) ? readJson : readToml;
  try {
    return read(text, file);
  } catch (error) {
    // both parsers recurse, and TOML's passes every character of a text as an argument: the stack ends somewhere
    if (!(error instanceof RangeError)) throw error;
    const document = new ConfigDocument(file);
    document.fail({ line: 1, column: 1 }, "cannot parse: nested too deeply, or a string is too long");
    return document;
  }
}

/** Those over the limit are not looked at. */
function limitServices(document: ConfigDocument): void {
  const services = valueAt(document.value, ["services"]);
  if (!Array.isArray(services) || services.length <= MAX_SERVICES_PER_FILE) return;
  const { length } = services;
  const message = `${length} services: a file has at most ${MAX_SERVICES_PER_FILE}`;
  document.reportUnquoted(["services"], length, message);
  services.length = MAX_SERVICES_PER_FILE;
}

function isJson(text: string, file: string): boolean {
  if (/\.json$/i.test(file)) return true;
  if (/\.toml$/i.test(file)) return false;
  return /^\s*\{/.test(text);
}

/** Of a text that is neither TOML nor JSON. */
function looksLikeYaml(text: string, file: string): boolean {
  const first = text.split("\n").find((line) => !/^\s*(#|$)/.test(line)) ?? "";
  return /\.ya?ml$/i.test(file) || /^(---|[\w-]+:( |\r?$))/.test(first);
}

function build(file: NonNullable<SettingsReading["data"]>, services: readonly ServiceReading[]): Config {
  return {
    node: {
      name: file.node.name ?? hostname(),
      advertise: file.node.advertise ?? null,
      labels: file.node.labels,
      dataDir: file.node.data_dir ?? null,
    },
    cluster: file.cluster === undefined ? null : buildCluster(file.cluster),
    overlay: { ...file.overlay, encrypt: file.overlay.encrypt ?? (file.cluster?.keys ?? []).length > 0 },
    proxy: file.proxy,
    admin: { socket: file.admin.socket ?? null },
    log: file.log,
    services: services.map(({ data }) => buildService(data!)),
  };
}

function buildCluster(cluster: NonNullable<ConfigFile["cluster"]>): ClusterConfig {
  const { insecure, join, ...rest } = cluster;
  const seeds = join.map(({ host, port }) => ({ host, port: port ?? GOSSIP_PORT }));
  return { ...rest, join: seeds, isInsecure: insecure };
}

function buildService(service: ConfigFile["services"][number]): ServiceConfig {
  return {
    name: service.name,
    publish: expandRanges(service.publish),
    tasks: service.tasks,
    balance: service.balance,
    prefer: service.prefer,
    sendProxy: service.send_proxy,
    acceptProxy: service.accept_proxy,
    allow: service.allow,
    deny: service.deny,
    bind: service.bind ?? null,
    nodes: service.nodes,
    maxConnections: service.max_connections,
    idleTimeoutMs: service.idle_timeout,
    drainTimeoutMs: service.drain_timeout,
    udp: {
      mode: service.udp.mode,
      idleTimeoutMs: service.udp.idle_timeout,
      maxSessions: service.udp.max_sessions,
      responses: service.udp.responses,
    },
  };
}

export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
