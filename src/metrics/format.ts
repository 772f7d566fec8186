/**
 * The two text formats that Prometheus reads, and which one a request asks for. Prometheus offers OpenMetrics first; what
 * says nothing, such as curl, gets the older format.
 */

export type Format = "text" | "openmetrics";

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};
const OPENMETRICS_VERSIONS = ["1.0.0", "0.0.1"];

export function contentType(format: Format): string {
  return CONTENT_TYPES[format];
}

/** @param accept the header [RFC 9110 §12.5.1]; null: there is none */
export function formatFor(accept: string | null): Format {
  const qualities: Record<Format, number> = { text: 0, openmetrics: 0 };
  for (const range of (accept ?? "").split(",")) {
    const format = formatOf(range);
    if (format !== null) qualities[format] = Math.max(qualities[format], qualityOf(range));
  }
  return qualities.openmetrics > 0 && qualities.openmetrics >= qualities.text ? "openmetrics" : "text";
}

/** @param accepted the header accept-encoding [RFC 9110 §12.5.3]; null: there is none */
export function acceptsGzip(accepted: string | null): boolean {
  const ranges = (accepted ?? "").split(",").map((range) => ({ name: nameOf(range), q: qualityOf(range) }));
  const gzip = ranges.find(({ name }) => name === "gzip") ?? ranges.find(({ name }) => name === "*");
  return gzip !== undefined && gzip.q > 0;
}

function formatOf(range: string): Format | null {
  switch (nameOf(range)) {
    case "text/plain":
      return "text";
    case "application/openmetrics-text":
      return OPENMETRICS_VERSIONS.includes(parameterOf(range, "version") ?? "1.0.0") ? "openmetrics" : null;
    default:
      return null;
  }
}

function nameOf(range: string): string {
  return range.split(";", 1)[0]!.trim().toLowerCase();
}

/** 0…1; what cannot be read counts as 1. */
function qualityOf(range: string): number {
  const quality = Number(parameterOf(range, "q") ?? 1);
  return quality >= 0 && quality <= 1 ? quality : 1;
}

function parameterOf(range: string, name: string): string | null {
  for (const parameter of range.split(";").slice(1)) {
    const [key, value] = parameter.split("=", 2);
    if (key?.trim().toLowerCase() === name && value !== undefined) return value.trim().replace(/^"|"$/g, "");
  }
  return null;
}
