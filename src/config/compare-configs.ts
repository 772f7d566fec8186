/**
 * What differs between two configurations, in lines a person reads before and after a reload.
 * Order (of services, ports, tasks, prefixes) is not a difference.
 */

import { comparePorts, compareRules, compareValue, missingIn, type ServiceTask } from "../model/index.ts";
import { formatHostPort } from "../wire/index.ts";
import type { Config, GossipAddress, ServiceConfig } from "./config.ts";

const SHOWN_DIGEST_CHARS = 8;

export interface ConfigChanges {
  readonly services: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly { readonly name: string; readonly changes: readonly string[] }[];
  };
  readonly settings: readonly SettingChange[];
  readonly isEmpty: boolean;
}

export interface SettingChange {
  /** "proxy.workers" */
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
  /** The running node keeps the old value until it is started again. */
  readonly needsRestart: boolean;
}

export function compareConfigs(before: Config, after: Config): ConfigChanges {
  const old = new Map(before.services.map((service) => [service.name, service]));
  const names = new Set(after.services.map((service) => service.name));
  const services = {
    added: after.services.filter(({ name }) => !old.has(name)).map(({ name }) => name),
    removed: before.services.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    changed: after.services.flatMap((service) => {
      const previous = old.get(service.name);
      const changes = previous === undefined ? [] : compareServices(previous, service);
      return changes.length === 0 ? [] : [{ name: service.name, changes }];
    }),
  };
  const settings = compareSettings(before, after);
  const isEmpty = [services.added, services.removed, services.changed, settings].every(
    (list) => list.length === 0,
  );
  return { services, settings, isEmpty };
}

function compareSettings(before: Config, after: Config): SettingChange[] {
  const settings = [
    { key: "node.name", of: (config: Config) => config.node.name, needsRestart: true },
    { key: "node.advertise", of: (config: Config) => config.node.advertise, needsRestart: true },
    { key: "node.labels", of: (config: Config) => config.node.labels, needsRestart: false },
    { key: "node.data_dir", of: (config: Config) => config.node.dataDir, needsRestart: true },
    { key: "node.exec_checks", of: (config: Config) => config.node.execChecks, needsRestart: false },
    { key: "cluster", of: (config: Config) => config.cluster !== null, needsRestart: true },
    { key: "cluster.name", of: (config: Config) => config.cluster?.name, needsRestart: true },
    { key: "cluster.keys", of: (config: Config) => maskKeys(config.cluster?.keys), needsRestart: false },
    { key: "cluster.keys_file", of: (config: Config) => config.cluster?.keysFile, needsRestart: false },
    {
      key: "cluster.join",
      of: (config: Config) => config.cluster?.join.map(formatAddress),
      needsRestart: false,
    },
    {
      key: "cluster.bind",
      of: (config: Config) => config.cluster && formatAddress(config.cluster.bind),
      needsRestart: true,
    },
    { key: "cluster.profile", of: (config: Config) => config.cluster?.profile, needsRestart: true },
    { key: "cluster.insecure", of: (config: Config) => config.cluster?.isInsecure, needsRestart: true },
    { key: "overlay.driver", of: (config: Config) => config.overlay.driver, needsRestart: true },
    { key: "overlay.port", of: (config: Config) => config.overlay.port, needsRestart: true },
    { key: "overlay.vni", of: (config: Config) => config.overlay.vni, needsRestart: true },
    { key: "overlay.subnet", of: (config: Config) => config.overlay.subnet, needsRestart: true },
    { key: "overlay.encrypt", of: (config: Config) => config.overlay.encrypt, needsRestart: true },
    { key: "proxy.workers", of: (config: Config) => config.proxy.workers, needsRestart: true },
    { key: "proxy.bind", of: (config: Config) => config.proxy.bind, needsRestart: false },
    { key: "admin.socket", of: (config: Config) => config.admin.socket, needsRestart: true },
    { key: "admin.listen", of: listenOf, needsRestart: false },
    { key: "admin.hosts", of: (config: Config) => config.admin.http?.hosts, needsRestart: false },
    { key: "admin.tokens_file", of: (config: Config) => config.admin.http?.tokensFile, needsRestart: false },
    { key: "admin.tokens", of: tokensOf, needsRestart: false },
    { key: "admin.tls_cert", of: certificateOf, needsRestart: false },
    { key: "admin.tls_key", of: (config: Config) => config.admin.http?.tls?.keyFile, needsRestart: false },
    { key: "log.level", of: (config: Config) => config.log.level, needsRestart: false },
    { key: "log.format", of: (config: Config) => config.log.format, needsRestart: true },
    { key: "log.connections", of: (config: Config) => config.log.connections, needsRestart: false },
    {
      key: "log.connection_format",
      of: (config: Config) => config.log.connectionFormat,
      needsRestart: false,
    },
    { key: "log.connection_rate", of: (config: Config) => config.log.connectionRate, needsRestart: false },
  ];
  return settings
    .map(({ key, of, needsRestart }) => ({ key, before: of(before), after: of(after), needsRestart }))
    .filter((change) => fingerprint(change.before) !== fingerprint(change.after))
    .filter(({ key }, _, all) => !isPartOfCluster(key) || !all.some((other) => other.key === "cluster"));
}

/** It comes and goes with the cluster. */
function isPartOfCluster(key: string): boolean {
  return key.startsWith("cluster.") || key.startsWith("overlay.");
}

function compareServices(before: ServiceConfig, after: ServiceConfig): string[] {
  return [
    ...comparePorts(before, after),
    ...compareTasks(before.tasks, after.tasks),
    ...compareRules(before, after),
  ];
}

function compareTasks(before: readonly ServiceTask[], after: readonly ServiceTask[]): string[] {
  const id = (task: ServiceTask) => `${task.host} ${task.port}`;
  const old = new Map(before.map((task) => [id(task), task]));
  return [
    ...missingIn(before, after, id).map((task) => `task removed ${task.name}`),
    ...missingIn(after, before, id).map((task) => `task added ${task.name}`),
    ...after.flatMap((task) => compareTask(old.get(id(task)) ?? task, task)),
  ];
}

function compareTask(before: ServiceTask, after: ServiceTask): string[] {
  const changes = compareValue(`task ${after.name} weight`, before.weight, after.weight);
  if (before.isBackup !== after.isBackup) {
    changes.push(`task ${after.name} ${after.isBackup ? "is a backup" : "no longer a backup"}`);
  }
  if (before.name !== after.name) changes.push(`task ${before.name} is now written ${after.name}`);
  if (before.isDraining !== after.isDraining) {
    changes.push(`task ${after.name} ${after.isDraining ? "draining" : "no longer draining"}`);
  }
  return changes;
}

function formatAddress({ host, port }: GossipAddress): string {
  return formatHostPort(host, port);
}

function listenOf({ admin: { http } }: Config): string | null {
  return http === null ? null : formatAddress(http.listen);
}

function tokensOf({ admin: { http } }: Config): string[] | undefined {
  return http?.tokens?.map(({ role, digest }) => `${role}:sha256:${digest.slice(0, SHOWN_DIGEST_CHARS)}`);
}

/** With what is in both files. */
function certificateOf({ admin: { http } }: Config): string | null {
  if (http === null || http.tls === null) return null;
  return `${http.tls.certFile} (sha256:${http.tls.digest.slice(0, SHOWN_DIGEST_CHARS)})`;
}

/** Enough to see that a key has changed, of no use to open anything. */
function maskKeys(keys: readonly string[] | undefined): string[] | undefined {
  return keys?.map(
    (key) =>
      `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, SHOWN_DIGEST_CHARS)}`,
  );
}

/** The order of keys means something, that of addresses does not: a list is compared as it is. */
function fingerprint(setting: unknown): string {
  const isLabels = typeof setting === "object" && setting !== null && !Array.isArray(setting);
  return JSON.stringify(isLabels ? Object.entries(setting).sort() : (setting ?? null));
}
