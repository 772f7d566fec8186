/**
 * A running node: reloads, tells its status, drains and stops. Everything it is made of was started before
 * (start-node.ts) and is stopped here in reverse order.
 */
import type { Config } from "../config/index.ts";
import { wantsConnections } from "./log.ts";
import type { NodeLog } from "./node-log.ts";
import { Reloader } from "./reload.ts";
import type { ReloadReport, ReloadTrigger } from "./reload-report.ts";
import type { Resolver } from "./resolver.ts";
import type { Router } from "./router.ts";
import type { NodeOptions, NodeParts, NodeProxy } from "./start-node.ts";
import type { NodeStatus } from "./status.ts";

/** The watch takes what it finds first as known; a save between our reading and that is caught by reading once more. */
const SECOND_LOOK_MS = 1_000;

export interface StartedParts {
  readonly options: NodeOptions;
  readonly parts: NodeParts;
  readonly log: NodeLog;
  /** ms since 1970 */
  readonly startedAt: number;
  readonly resolver: Resolver;
  readonly proxy: NodeProxy;
  readonly router: Router;
  /** In the order of starting; run in reverse. */
  readonly stops: (() => unknown)[];
}

export class Node {
  readonly #started: StartedParts;
  readonly #reloader: Reloader;
  #state: NodeStatus["state"] = "serving";
  #appliedAt: number;
  #lastReload: ReloadReport | null = null;

  constructor(started: StartedParts) {
    const { options, parts, router } = started;
    this.#started = started;
    this.#appliedAt = parts.clock.nowMs();
    this.#reloader = new Reloader(
      {
        file: options.file,
        read: parts.readConfig,
        router,
        clock: parts.clock,
        onApplied: (config) => this.#onApplied(config),
      },
      options.config,
    );
    this.#watchFile();
    const { admin, services } = options.config;
    const { version } = options.version;
    started.log.serving({ file: options.file, socket: admin.socket, services: services.length, version });
  }

  async reload(isDryRun: boolean, trigger: ReloadTrigger = "command"): Promise<ReloadReport> {
    const report = await this.#reloader.reload(trigger, isDryRun);
    if (!isDryRun && !this.#isNoNews(report)) {
      this.#lastReload = report;
      this.#started.log.reload(report);
    }
    return report;
  }

  status(): NodeStatus {
    const { options, parts, startedAt, proxy, router } = this.#started;
    return {
      node: this.#reloader.running.node.name,
      version: options.version,
      state: this.#state,
      pid: process.pid,
      startedAt,
      now: parts.clock.nowMs(),
      config: {
        file: options.file,
        appliedAt: this.#appliedAt,
        lastReload: this.#lastReload,
        needsRestart: (this.#lastReload?.changes.settings ?? []).filter((setting) => setting.needsRestart),
      },
      names: this.#names(),
      warnings: router.warnings,
      proxy: proxy.status(),
      cluster: null,
    };
  }

  /** Resolves when all is stopped: true when no connection was left, false when it was hurried. */
  async drainAndStop(): Promise<boolean> {
    const { log, proxy, router, stops } = this.#started;
    const timeoutMs = Math.max(
      0,
      ...this.#reloader.running.services.map((service) => service.drainTimeoutMs),
    );
    this.#state = "draining";
    log.draining(timeoutMs);
    await router.close(); // a change now would open the listeners again
    const isDrained = await proxy.drain();
    for (const stop of stops.toReversed()) await stop();
    log.stopped(isDrained);
    return isDrained;
  }

  /** Ends a drain at once: what is open is reset. */
  hurry(): void {
    this.#started.proxy.hurry();
  }

  #watchFile(): void {
    const { parts, options, stops } = this.#started;
    const reload = () => {
      if (this.#state === "serving") void this.reload(false, "file");
    };
    const watch = parts.watchConfig({ path: options.file, onChange: reload });
    stops.push(() => watch.stop(), parts.clock.after(SECOND_LOOK_MS, reload));
  }

  /** The file was touched but says what runs, and nobody has been told anything else. */
  #isNoNews({ trigger, outcome }: ReloadReport): boolean {
    return trigger === "file" && outcome === "unchanged" && this.#lastReload?.outcome !== "refused";
  }

  #onApplied(config: Config): void {
    const { options, parts, proxy } = this.#started;
    this.#appliedAt = parts.clock.nowMs();
    options.log.level = config.log.level;
    proxy.recordConnections(wantsConnections(config.log.level));
  }

  #names(): NodeStatus["names"] {
    const { services } = this.#reloader.running;
    const uses = (host: string) =>
      services.filter((service) => service.tasks.some((task) => task.host === host));
    return this.#started.resolver
      .status()
      .map((name) => ({ ...name, services: uses(name.host).map((service) => service.name) }));
  }
}
