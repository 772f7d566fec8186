/** The metrics of the node as a whole: process, configuration, cluster, relay, overlay. */
import { type Labels, type MetricRegistry, type Reading as Samples, single } from "../../metrics/index.ts";
import type { OverlayPeerStatus } from "../overlay/overlay-status.ts";
import type { ClusterFigures, NodeSources, Reading } from "./node-sources.ts";

const MS_PER_SECOND = 1000;

export function addWholeMetrics(
  registry: MetricRegistry,
  sources: NodeSources,
  reading: () => Reading,
  writeMs: () => number,
): void {
  addProcess(registry, reading);
  addNode(registry, sources);
  addConfig(registry, sources);
  addCluster(registry, sources);
  addGossip(registry, sources);
  addPeers(registry, reading);
  addRelay(registry, reading);
  addOverlay(registry, sources);
  addOverlayPeers(registry, sources);
  addDescriptors(registry, reading);
  registry.gauge({
    name: "portmesh_scrape_duration_seconds",
    help: "Time of the main thread that the previous scrape took.",
    read: () => single(writeMs() / MS_PER_SECOND),
  });
}

/** By the names that Prometheus' own libraries use. They begin anew with every process. */
function addProcess(registry: MetricRegistry, reading: () => Reading): void {
  registry.continuedCounter({
    name: "process_cpu_seconds_total",
    help: "CPU time of all threads of this process.",
    read: () => single(reading().process.cpuSeconds),
  });
  registry.gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory.",
    read: () => single(reading().process.residentBytes),
  });
  registry.gauge({
    name: "process_virtual_memory_bytes",
    help: "Virtual memory.",
    read: () => single(reading().process.virtualBytes),
  });
  registry.gauge({
    name: "process_start_time_seconds",
    help: "When this process started, since 1970.",
    read: () => single(reading().process.startedAtSeconds),
  });
  registry.gauge({
    name: "process_open_fds",
    help: "Open descriptors.",
    read: () => single(reading().process.openDescriptors),
  });
  registry.gauge({
    name: "process_max_fds",
    help: "Limit of open descriptors.",
    read: () => single(reading().process.maxDescriptors),
  });
  registry.gauge({
    name: "process_threads",
    help: "Threads of this process.",
    read: () => single(reading().process.threads),
  });
}

function addNode(registry: MetricRegistry, sources: NodeSources): void {
  const { version, config, cluster, isReady } = sources;
  registry.gauge({
    name: "portmesh_build_info",
    help: "The version that runs; always 1.",
    labels: ["version", "commit"],
    read: () => [[{ version: version.version, commit: version.commit ?? "" }, 1]],
  });
  registry.gauge({
    name: "portmesh_node_info",
    help: "The name of this node and its cluster; always 1.",
    labels: ["node", "cluster"],
    read: () => [[{ node: config().node.name, cluster: cluster()?.name ?? "" }, 1]],
  });
  registry.gauge({
    name: "portmesh_ready",
    help: "1: the node takes new clients. 0: it is draining.",
    read: () => single(Number(isReady())),
  });
  registry.gauge({
    name: "portmesh_warnings",
    help: "Warnings that `portmesh status` shows for services.",
    read: () => single(sources.warnings()),
  });
  registry.gauge({
    name: "portmesh_task_names_failing",
    help: "Names of tasks that no name server can resolve now.",
    read: () => single(sources.namesFailing()),
  });
  registry.gauge({
    name: "portmesh_log_lines_lost",
    help: "Lines of the log that are lost because standard output is blocked now.",
    read: () => single(sources.logLinesLost()),
  });
  registry.gauge({
    name: "portmesh_state_store_failing",
    help: "1: the state that must survive a restart cannot be written.",
    read: () => single(Number(sources.isStoreBroken())),
  });
}

function addConfig(registry: MetricRegistry, { reloads, appliedAt, settingsWaiting }: NodeSources): void {
  registry.counter({
    name: "portmesh_config_reloads_total",
    help: "Reloads of the configuration, by result.",
    labels: ["result"],
    read: () => Object.entries(reloads.total).map(([result, count]) => [{ result }, count]),
  });
  registry.gauge({
    name: "portmesh_config_last_reload_successful",
    help: "0: the last reload was refused, and the node runs an older configuration than its file has.",
    read: () => single(Number(reloads.isLastSuccessful)),
  });
  registry.gauge({
    name: "portmesh_config_last_reload_success_timestamp_seconds",
    help: "When the file was last read without an error, since 1970.",
    read: () => single(reloads.lastSuccessMs / MS_PER_SECOND),
  });
  registry.gauge({
    name: "portmesh_config_applied_timestamp_seconds",
    help: "When the running configuration was applied, since 1970.",
    read: () => single(appliedAt() / MS_PER_SECOND),
  });
  registry.gauge({
    name: "portmesh_config_settings_waiting_for_restart",
    help: "Settings of the file that need a restart.",
    read: () => single(settingsWaiting()),
  });
}

function addCluster(registry: MetricRegistry, { cluster, nowMs }: NodeSources): void {
  const gauge = (name: string, help: string, figureOf: (figures: ClusterFigures) => number | null) =>
    registry.gauge({
      name: `portmesh_${name}`,
      help,
      read: () => {
        const figures = cluster();
        const value = figures === null ? null : figureOf(figures);
        return value === null ? [] : single(value);
      },
    });
  registry.gauge({
    name: "portmesh_cluster_members",
    help: "Members of the cluster as this node sees them, itself included, by state.",
    labels: ["state"],
    read: () => pairsOf("state", cluster()?.members),
  });
  gauge("cluster_alone", "1: no node of cluster.join answers.", ({ isAlone }) => Number(isAlone));
  gauge(
    "cluster_health_score",
    "Lifeguard's local health: 0 is well, up to 8 means that this node is too slow to judge others.",
    ({ healthScore }) => healthScore,
  );
  gauge(
    "cluster_key_mismatches",
    "Hosts that in the last minute sent what this node has no key for.",
    ({ strangers }) => strangers,
  );
  gauge("cluster_key_age_seconds", "How long the first of cluster.keys has been in use.", ({ keySinceMs }) =>
    keySinceMs === null ? null : Math.max(0, nowMs() - keySinceMs) / MS_PER_SECOND,
  );
  gauge("catalog_services", "Services of the cluster.", ({ services }) => services);
  gauge("catalog_tasks", "Tasks of the cluster's live nodes.", ({ tasks }) => tasks);
  gauge(
    "catalog_port_conflicts",
    "Ports that a service does not get because an older one has them.",
    ({ conflicts }) => conflicts,
  );
  gauge(
    "catalog_differing_services",
    "Services that files, or a file and a command, define differently.",
    ({ differing }) => differing,
  );
}

function addGossip(registry: MetricRegistry, { cluster }: NodeSources): void {
  registry.gauge({
    name: "portmesh_gossip_queue_length",
    help: "Messages waiting to be sent, by queue.",
    labels: ["queue"],
    read: () => pairsOf("queue", cluster()?.queueLengths),
  });
  registry.counter({
    name: "portmesh_gossip_dropped_total",
    help: "Packets and streams that were thrown away, by reason; only reasons that have occurred.",
    labels: ["reason"],
    read: () => pairsOf("reason", cluster()?.droppedTotal),
  });
  const traffic = (name: string, help: string, figureOf: (figures: ClusterFigures) => number) =>
    registry.counter({
      name: `portmesh_gossip_${name}`,
      help,
      read: () => {
        const figures = cluster();
        return figures === null ? [] : single(figureOf(figures));
      },
    });
  traffic("received_packets_total", "UDP packets received.", ({ traffic }) => traffic.packetsIn);
  traffic("sent_packets_total", "UDP packets sent.", ({ traffic }) => traffic.packetsOut);
  traffic("received_bytes_total", "Bytes of UDP packets received.", ({ traffic }) => traffic.bytesIn);
  traffic("sent_bytes_total", "Bytes of UDP packets sent.", ({ traffic }) => traffic.bytesOut);
  traffic("dials_total", "TCP exchanges begun with other members.", ({ traffic }) => traffic.dials);
}

function addPeers(registry: MetricRegistry, reading: () => Reading): void {
  const peers = () => reading().totals.whole.peers;
  registry.gauge({
    name: "portmesh_peer_reachable",
    help: "1: the relay of the node can be reached. 0: its tasks are passed over while there are others.",
    labels: ["peer"],
    read: () => peers().map(({ name, isReachable }) => [{ peer: name }, Number(isReachable)]),
  });
  registry.gauge({
    name: "portmesh_peer_rtt_seconds",
    help: "Round-trip time of the last heartbeat.",
    labels: ["peer"],
    read: () =>
      peers().flatMap(({ name, rttMs }) =>
        rttMs === null ? [] : [[{ peer: name }, rttMs / MS_PER_SECOND] as const],
      ),
  });
  registry.continuedCounter({
    name: "portmesh_peer_failures_total",
    help: "Connections to tasks of the node that failed before the task was asked.",
    labels: ["peer"],
    read: () => peers().map(({ name, failuresTotal }) => [{ peer: name }, failuresTotal]),
  });
}

function addRelay(registry: MetricRegistry, reading: () => Reading): void {
  const relay = () => reading().totals.whole.relay;
  registry.continuedCounter({
    name: "portmesh_relay_refused_connections_total",
    help: "Relay connections from other nodes that were refused, by reason; only reasons that have occurred.",
    labels: ["reason"],
    read: () => pairsOf("reason", relay().connectionsRefusedTotal),
  });
  registry.continuedCounter({
    name: "portmesh_relay_dropped_datagrams_total",
    help: "Datagrams between nodes that were dropped, by reason; only reasons that have occurred.",
    labels: ["reason"],
    read: () => pairsOf("reason", relay().datagramsDroppedTotal),
  });
}

function addOverlay(registry: MetricRegistry, { overlay }: NodeSources): void {
  registry.gauge({
    name: "portmesh_overlay_info",
    help: "The overlay of this node; always 1.",
    labels: ["driver", "encrypt"],
    read: () => {
      const status = overlay();
      return status === null ? [] : [[{ driver: status.driver, encrypt: String(status.encrypt) }, 1]];
    },
  });
  registry.gauge({
    name: "portmesh_overlay_problems",
    help: "What is wrong with this node's end of the overlay.",
    read: () => {
      const status = overlay();
      return status === null ? [] : single(status.problems.length);
    },
  });
  registry.counter({
    name: "portmesh_overlay_rejected_frames_total",
    help: "Frames that were dropped, by reason and the peer they came from; only what has occurred.",
    labels: ["peer", "reason"],
    read: () => {
      const status = overlay();
      if (status === null) return [];
      const rejected = (peer: string, counts: Readonly<Record<string, number>>) =>
        Object.entries(counts).map(([reason, count]) => [{ peer, reason }, count] as const);
      return [
        ...rejected("", status.rejectedTotal),
        ...status.peers.flatMap(({ node, rejectedTotal }) => rejected(node, rejectedTotal)),
      ];
    },
  });
}

function addOverlayPeers(registry: MetricRegistry, { overlay }: NodeSources): void {
  const gauge = (name: string, help: string, figureOf: (peer: OverlayPeerStatus) => number | null) =>
    registry.gauge({
      name: `portmesh_overlay_${name}`,
      help,
      labels: ["peer"],
      read: () =>
        (overlay()?.peers ?? []).flatMap((peer) => {
          const value = figureOf(peer);
          return value === null ? [] : [[{ peer: peer.node }, value] as const];
        }),
    });
  gauge(
    "path_up",
    "1: relays to the node go over the overlay. 0: from node address to node address.",
    (peer) => Number(peer.path === "overlay"),
  );
  gauge("rtt_seconds", "Round-trip time over the overlay.", ({ rttMs }) => inSeconds(rttMs));
  gauge("loss_ratio", "Share of probes that got lost on the way to the node.", ({ loss }) => loss);
  gauge("mtu_bytes", "The longest IP packet that gets to the node.", ({ mtuBytes }) => mtuBytes);
  gauge("key_age_seconds", "Age of the key that frames to the node are sealed with.", ({ keyAgeMs }) =>
    inSeconds(keyAgeMs),
  );
}

function addDescriptors(registry: MetricRegistry, reading: () => Reading): void {
  registry.gauge({
    name: "portmesh_workers",
    help: "Proxy workers.",
    read: () => single(reading().totals.whole.workers),
  });
  registry.gauge({
    name: "portmesh_workers_out_of_descriptors",
    help: "Workers that have paused accepting because descriptors ran out.",
    read: () => single(reading().totals.whole.workersOutOfDescriptors),
  });
  registry.counter({
    name: "portmesh_descriptor_shortages_total",
    help: "How often the kernel had no descriptor to give.",
    read: () => single(reading().totals.exhausted.reduce((sum, count) => sum + count, 0)),
  });
  registry.counter({
    name: "portmesh_untracked_clients_total",
    help: "Clients served without their limits per client, because too many others had connections.",
    read: () => single(reading().totals.whole.untrackedClientsTotal ?? 0),
  });
  registry.gauge({
    name: "portmesh_listeners",
    help: "Addresses and ports of published services: open ones, and those that cannot be opened.",
    labels: ["state"],
    read: () => pairsOf("state", reading().totals.listeners),
  });
  registry.gauge({
    name: "portmesh_udp_session_ports",
    help: "Local ports for UDP sessions with one task.",
    read: () => single(reading().totals.whole.sourcePorts.forSessions),
  });
}

function pairsOf(label: string, counts: Readonly<Record<string, number>> | undefined): Samples {
  return Object.entries(counts ?? {}).map(([name, count]) => [{ [label]: name } satisfies Labels, count]);
}

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : ms / MS_PER_SECOND;
}
