/** The texts of the package that Debian's policy asks for: control, changelog and copyright. */
import packageJson from "../../package.json" with { type: "json" };
import { collectLicenses } from "../package/licenses.ts";

const MAINTAINER = "portmesh maintainers <maintainers@portmesh.invalid>";

/** Debian's packages of what the executable and the scripts need. */
const DEPENDS = [
  "libc6 (>= 2.17)",
  "systemd | systemd-standalone-sysusers",
  "systemd | systemd-standalone-tmpfiles",
];
/** libcrypto: without it short encrypted messages cost more. */
const RECOMMENDS = ["libssl3t64 | libssl3"];

interface ControlValues {
  readonly architecture: string;
  readonly version: string;
  readonly installedKilobytes: number;
}

export function controlText({ architecture, version, installedKilobytes }: ControlValues): string {
  return `Package: portmesh
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${installedKilobytes}
Depends: ${DEPENDS.join(", ")}
Recommends: ${RECOMMENDS.join(", ")}
Section: net
Priority: optional
Description: ingress routing mesh between machines, without an orchestrator
 A published port is open on every node of the mesh. Each node forwards its
 connections and datagrams to an available task, on this machine or on another
 one. Nodes find each other by gossip and encrypt what they send to each other.
 .
 The node runs as a systemd service, configured by /etc/portmesh/portmesh.toml.
 As installed it publishes nothing and belongs to no cluster.
`;
}

export function changelogText(version: string, seconds: number): string {
  const date = new Date(seconds * 1000).toUTCString().replace("GMT", "+0000");
  return `portmesh (${version}) unstable; urgency=medium

  * Version ${version}.

 -- ${MAINTAINER}  ${date}
`;
}

export function copyrightText(): string {
  return `portmesh: ${packageJson.description}

Copyright: the portmesh authors

License: ${packageJson.license}. On Debian systems the text of the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0.

The executable contains npm packages and the runtime Bun with its libraries. Their licences and copyrights:

${collectLicenses().replaceAll("\r", "")}`;
}
