/**
 * File text -> Config, or every problem at once. Reads nothing but the host name and what the caller lets it read, and
 * never throws: whatever the text is, the answer is a configuration or a list of problems in file order.
 */

import { hostname } from "node:os";
import {
  expandRanges,
  MAX_SERVICES_PER_FILE,
  NO_CLIENT_LIMITS,
  nodeName,
  perClient,
} from "../model/index.ts";
import type { TlsReading, TokensReading } from "./admin-files.ts";
import type {
  AdminHttpConfig,
  AdminTlsConfig,
  AdminTokenConfig,
  ClusterConfig,
  Config,
  ServiceConfig,
} from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { ConfigDocument, valueAt } from "./document.ts";
import { readJson } from "./json-document.ts";
import { type KeysReading, keysFilePath } from "./keys-file.ts";
import { firstProblems, type Path, type Problem } from "./problem.ts";
import { readServices, readSettings, type ServiceReading, type SettingsReading } from "./readings.ts";
import { adminSchema, type ConfigFile, directory, filePath, GOSSIP_PORT } from "./schema.ts";
import { hideTexts, MASKED, mapStrings, mayBeKey } from "./secrets.ts";
import { countValues, MAX_VALUES } from "./size-limits.ts";
import { readToml } from "./toml-document.ts";
import { type Environment, expandVariables } from "./variables.ts";

/**
 * What only the rest of the program knows of a configuration that is right in itself; `report` makes it wrong. Not called
 * when something else is wrong already.
 */
export type ConfigCheck = (config: Config, report: ReportProblem) => void;
export type ReportProblem = (path: Path, message: string) => void;

/** What a file may refer to besides its own text. */
export interface Surroundings {
  readonly environment: Environment;
  /** @param path absolute */
  readKeys(path: string): KeysReading;
  /** @param path absolute */
  readTokens(path: string): TokensReading;
  /** @param certFile absolute, like `keyFile` */
  readTls(certFile: string, keyFile: string): TlsReading;
}

export type ConfigResult = RightConfig | WrongConfig;

export interface RightConfig {
  readonly config: Config;
  /** Names of the environment variables in it; absent: none. */
  readonly variables?: readonly string[];
  /** What must not be shown of their values; absent: nothing. */
  readonly secrets?: readonly string[];
  /** The text has keys of the cluster in it; absent: false. */
  readonly holdsKeys?: boolean;
}

export interface WrongConfig {
  readonly problems: Problem[];
  /** Where a node that runs an older version of the file can be asked; absent: that part of the file is wrong too. */
  readonly places?: ConfigPlaces;
  /** Absolute path: when it changes the configuration may become right. */
  readonly keysFile?: string;
  /** The same of the files of [admin]. */
  readonly adminFiles?: readonly string[];
}

/** null: the standard ones. */
export interface ConfigPlaces {
  readonly socket: string | null;
  readonly dataDir: string | null;
}

/** What an editor on a full disk leaves; applied, it would close every port. */
const EMPTY = "empty: it sets no key; for a node without services of its own, set services = []";
const YAML = "YAML is not supported: write TOML, with a table [[services]] for each service, or JSON";

const ONLY_TEXT = "only the text of the configuration is read here";
const NOTHING_AROUND: Surroundings = {
  environment: {},
  readKeys: () => ({ unreadable: ONLY_TEXT }),
  readTokens: () => ({ unreadable: ONLY_TEXT }),
  readTls: () => ({ unreadable: ONLY_TEXT, key: "tls_cert" }),
};
/** Sets the name of the node where the file does not. */
const NODE_NAME_VARIABLE = "PORTMESH_NODE_NAME";

/** TOML or JSON by the extension of `file`, else by the first character that is not a space. */
export function parseConfig(
  text: string,
  file: string,
  check: ConfigCheck = () => {},
  surroundings: Surroundings = NOTHING_AROUND,
): ConfigResult {
  const { environment, readKeys } = surroundings;
  const withoutBom = text.replace(/^\uFEFF/, "");
  if (withoutBom.trim() === "") return refuseFile(file, EMPTY);
  const values = countValues(withoutBom);
  if (values > MAX_VALUES)
    return refuseFile(file, `about ${values} values: at most ${MAX_VALUES} are allowed`);
  const document = readDocument(withoutBom, file);
  if (document.isBroken)
    return looksLikeYaml(withoutBom, file)
      ? refuseFile(file, YAML)
      : { problems: hintAtQuotes(document, withoutBom) };
  limitServices(document);
  expandVariables(document, environment);
  const settings = readSettings(document);
  const services = readServices(document);
  crossCheck(document, settings, services);
  if (document.problems.length === 0 && !setsKeys(document.value)) return refuseFile(file, EMPTY);
  const keys = readKeysOf(document, readKeys);
  const admin = readAdminFiles(document, surroundings);
  const nodeName = settings.data?.node.name ?? nameFrom(document, environment);
  const config =
    document.problems.length === 0
      ? deepFreeze(build({ file: settings.data!, services, keys, admin, nodeName }))
      : null;
  if (config !== null)
    check(config, (path, message) => document.report(path, valueAt(document.value, path), message));
  if (config !== null && document.problems.length === 0) return { config, ...aboutVariables(document) };
  const problems = withoutSecrets(firstProblems(document.problems), document);
  return {
    problems,
    ...placesIn(document.value),
    ...(keys !== null && { keysFile: keys.path }),
    ...(admin.files.length > 0 && { adminFiles: admin.files }),
  };
}

/** A problem of one value may quote another one. */
function withoutSecrets(problems: readonly Problem[], document: ConfigDocument): Problem[] {
  const secrets = secretsIn(document);
  const hide = (text: string) => hideTexts(text, secrets);
  return problems.map((problem) => ({
    ...problem,
    value: mapStrings(problem.value, hide),
    message: hide(problem.message),
  }));
}

/** A variable is replaced in a string only: without quotes it is wrong TOML and wrong JSON. */
function hintAtQuotes({ problems }: ConfigDocument, text: string): Problem[] {
  const lines = text.split("\n");
  return problems.map((problem) =>
    /(?<!["\w])\$\{/.test(lines[problem.line - 1] ?? "")
      ? { ...problem, message: `${problem.message}; a variable needs quotes around it: "\${NAME}"` }
      : problem,
  );
}

/** What the files of [admin] hold; nothing of a file with something wrong. */
interface AdminFiles {
  readonly tokensFile: string | null;
  readonly tokens: readonly AdminTokenConfig[] | null;
  readonly tls: AdminTlsConfig | null;
  /** Absolute paths of all of them. */
  readonly files: readonly string[];
}

function readAdminFiles(
  document: ConfigDocument,
  { readTokens, readTls }: Pick<Surroundings, "readTokens" | "readTls">,
): AdminFiles {
  const [tokensFile, certFile, keyFile] = ["tokens_file", "tls_cert", "tls_key"].map((key) => {
    const named = filePath.safeParse(valueAt(document.value, ["admin", key]));
    return named.success && !document.isUnexpanded(["admin", key])
      ? keysFilePath(document.file, named.data)
      : null;
  }) as [string | null, string | null, string | null];
  const refuse = (key: string, message: string) => {
    const named = String(valueAt(document.value, ["admin", key]));
    const path = keysFilePath(document.file, named);
    const shown = mayBeKey(named) ? message.replaceAll(path, MASKED) : message;
    document.reportUnquoted(["admin", key], MASKED, shown);
  };
  let tokens: readonly AdminTokenConfig[] | null = null;
  if (tokensFile !== null) {
    const reading = readTokens(tokensFile);
    if ("tokens" in reading) tokens = reading.tokens;
    else if ("problems" in reading) document.problems.push(...reading.problems);
    else refuse("tokens_file", reading.unreadable);
  }
  let tls: AdminTlsConfig | null = null;
  if (certFile !== null && keyFile !== null) {
    const reading = readTls(certFile, keyFile);
    if ("tls" in reading) tls = reading.tls;
    else refuse(reading.key, reading.unreadable);
  }
  const files = [tokensFile, certFile, keyFile].filter((path) => path !== null);
  return { tokensFile, tokens, tls, files };
}

interface KeysOfFile {
  readonly path: string;
  /** [] when something is wrong. */
  readonly keys: readonly string[];
}

/** null: the configuration names no file of keys. */
function readKeysOf(document: ConfigDocument, readKeys: Surroundings["readKeys"]): KeysOfFile | null {
  const at = ["cluster", "keys_file"];
  const named = filePath.safeParse(valueAt(document.value, at));
  if (!named.success || document.isUnexpanded(at)) return null;
  const path = keysFilePath(document.file, named.data);
  const reading = readKeys(path);
  if ("keys" in reading) return { path, keys: reading.keys };
  if ("problems" in reading) document.problems.push(...reading.problems);
  else {
    const shown = mayBeKey(named.data) ? reading.unreadable.replaceAll(path, MASKED) : reading.unreadable;
    document.reportUnquoted(at, named.data, shown);
  }
  return { path, keys: [] };
}

/** null: the host name. */
function nameFrom(document: ConfigDocument, environment: Environment): string | null {
  const named = environment[NODE_NAME_VARIABLE];
  const path = ["node", "name"];
  if (!named || valueAt(document.value, path) !== undefined) return null;
  const { success, data, error } = nodeName.safeParse(named);
  if (success) return data;
  document.reportUnquoted(path, named, `${NODE_NAME_VARIABLE}: ${error.issues[0]!.message}`);
  return null;
}

function secretsIn({ variableUses }: ConfigDocument): string[] {
  return [...new Set(variableUses.flatMap((use) => use.secrets))];
}

function aboutVariables(document: ConfigDocument): Omit<RightConfig, "config"> {
  const uses = document.variableUses;
  const variables = new Set(uses.flatMap((use) => use.variables));
  const secrets = secretsIn(document);
  const keys = valueAt(document.value, ["cluster", "keys"]);
  const holdsKeys =
    Array.isArray(keys) &&
    keys.some((_, index) => document.variablesAt(["cluster", "keys", index])?.isFromFile ?? true);
  return {
    ...(variables.size > 0 && { variables: [...variables].sort() }),
    ...(secrets.length > 0 && { secrets }),
    ...(holdsKeys && { holdsKeys }),
  };
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

interface Readings {
  readonly file: NonNullable<SettingsReading["data"]>;
  readonly services: readonly ServiceReading[];
  readonly keys: KeysOfFile | null;
  readonly admin: AdminFiles;
  readonly nodeName: string | null;
}

function build({ file, services, keys, admin, nodeName }: Readings): Config {
  const cluster = file.cluster === undefined ? null : buildCluster(file.cluster, keys);
  return {
    node: {
      name: nodeName ?? hostname(),
      advertise: file.node.advertise ?? null,
      labels: file.node.labels,
      dataDir: file.node.data_dir ?? null,
      execChecks: file.node.exec_checks,
    },
    cluster,
    overlay: { ...file.overlay, encrypt: file.overlay.encrypt ?? (cluster?.keys ?? []).length > 0 },
    proxy: file.proxy,
    admin: { socket: file.admin.socket ?? null, http: buildHttp(file.admin, admin) },
    log: buildLog(file.log),
    services: services.map(({ data }) => buildService(data!)),
  };
}

function buildLog({ connection_format, connection_rate, ...log }: ConfigFile["log"]): Config["log"] {
  return { ...log, connectionFormat: connection_format, connectionRate: connection_rate };
}

function buildCluster(
  cluster: NonNullable<ConfigFile["cluster"]>,
  fromFile: KeysOfFile | null,
): ClusterConfig {
  const { insecure, join, keys_file: _, ...rest } = cluster;
  const seeds = join.map(({ host, port }) => ({ host, port: port ?? GOSSIP_PORT }));
  const keys = { keys: fromFile?.keys ?? rest.keys, keysFile: fromFile?.path ?? null };
  return { ...rest, ...keys, join: seeds, isInsecure: insecure };
}

function buildHttp(
  { listen, hosts }: ConfigFile["admin"],
  { tokensFile, tokens, tls }: AdminFiles,
): AdminHttpConfig | null {
  return listen === null ? null : { listen, hosts, tokensFile, tokens, tls };
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
    ...perClient({
      maxConnections: service.max_connections_per_client,
      maxSessions: service.udp.max_sessions_per_client,
      rate: service.rate_per_client ?? null,
      prefix: service.client_prefix ?? NO_CLIENT_LIMITS.prefix,
    }),
    check: service.check ?? null,
    panic: service.panic,
    slowStartMs: service.slow_start,
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
