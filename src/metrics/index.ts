/** Metrics as Prometheus reads them: text formats, and the registry of those of a node as a whole. */
export { acceptsGzip, contentType, formatFor } from "./format.ts";
export { type CarriedCounts, type Labels, MetricRegistry, type Reading, single } from "./registry.ts";
export { bucketLabels, type Family, labelsOf, lastLabel, TextWriter } from "./text-writer.ts";
