/** A trace as a person reads it: the answer first, then every task and why it was passed over. */
import type { ServiceTrace, Trace } from "../../admin/index.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "" },
  { title: "TASK" },
  { title: "NODE" },
  { title: "VIA" },
  { title: "DISTANCE" },
  { title: "WEIGHT", isNumber: true },
  { title: "STATE" },
  { title: "PASSED OVER" },
];

/** Ends with a line end. */
export function renderTrace(trace: Trace): string {
  const { port, protocol, client, sni, node, services } = trace;
  const asked = `${port}/${protocol} on ${node}${client === null ? "" : ` from ${client}`}${sni === undefined ? "" : ` to ${sni}`}`;
  const none =
    sni === undefined ? "no service publishes this port" : "no service has this port and server name";
  const found = services.flatMap((service) => ["", ...renderService(service)]);
  const lines = services.length === 0 ? [`${asked}: ${none}`] : [asked, ...found];
  return `${lines.join("\n")}\n`;
}

/** Whether a client would be served by at least one of the services. */
export function isServed({ services }: Trace): boolean {
  return services.some((service) => service.pick !== null);
}

function renderService(trace: ServiceTrace): string[] {
  const { service, target, mode, balance, prefer, listeners, pick } = trace;
  const verdict = pick === null ? "NO TASK" : `-> ${pick.task} on ${pick.node}`;
  const isPick = (candidate: ServiceTrace["candidates"][number]) =>
    pick !== null && candidate.node === pick.node && candidate.task === pick.task;
  const rows = trace.candidates.map((candidate) => [
    isPick(candidate) ? "->" : "",
    candidate.task,
    candidate.node,
    candidate.via,
    candidate.distance,
    String(candidate.weight),
    candidate.state,
    candidate.passedOver ?? "-",
  ]);
  return [
    ...renderNote(`${verdict}  `, trace.reason, ""),
    `service ${service}  target ${target}  ${mode}  ${balance}, prefer ${prefer}`,
    ...(trace.sni === undefined ? [] : renderNote("server names ", trace.sni.join(", "), "")),
    ...renderNote("listens on ", listeners.length === 0 ? "nothing here" : listeners.join(", "), ""),
    ...(rows.length === 0 ? ["no tasks"] : renderTable(COLUMNS, rows, "")),
  ];
}
