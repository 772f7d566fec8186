/** nginx: its stream module as a rival, its HTTP server as a fast target. */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../process.ts";
import type { ProxyProgram, ProxySetup, Route } from "./proxy.ts";

const WORKER_CONNECTIONS = 20_000;

export const nginx: ProxyProgram = {
  name: "nginx",
  unavailable() {
    if (!findProgram("nginx")) return "nginx is not installed";
    return streamModule() === undefined ? "nginx has no stream module" : undefined;
  },
  prepare(setup) {
    return {
      commands: [writeConfiguration(setup.directory, setup.workers, streamModule() ?? "", stream(setup))],
    };
  },
};

/** The command of an HTTP server that answers every request with the two bytes `ok`. */
export function httpTarget(directory: string, port: number, workers: number): string[] {
  const body = `
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096${workers > 1 ? " reuseport" : ""};
    location / { return 200 "ok"; }
  }
}
`;
  return writeConfiguration(directory, workers, "", body);
}

/** The directive that loads the stream module: none when built in, undefined when there is no such module. */
function streamModule(): string | undefined {
  const built = spawnSync(findProgram("nginx")!, ["-V"], { encoding: "utf8" }).stderr;
  if (/--with-stream(\s|$)/.test(built)) return "";
  const folder = /--modules-path=(\S+)/.exec(built)?.[1];
  if (folder === undefined) return undefined;
  const file = join(folder, "ngx_stream_module.so");
  return existsSync(file) ? `load_module ${file};` : undefined;
}

function writeConfiguration(directory: string, workers: number, modules: string, body: string): string[] {
  const file = join(directory, "nginx.conf");
  const head = `${modules}
daemon off;
pid ${directory}/nginx.pid;
error_log stderr error;
worker_processes ${workers};
events { worker_connections ${WORKER_CONNECTIONS}; }
`;
  writeFileSync(file, head + body);
  return [findProgram("nginx")!, "-e", "stderr", "-p", directory, "-c", file];
}

function stream({ routes, workers }: ProxySetup): string {
  return `
stream {
${routes.map((route) => server(route, workers)).join("")}}
`;
}

function server(route: Route, workers: number): string {
  const flags = `${route.protocol === "udp" ? " udp" : " backlog=4096"}${workers > 1 ? " reuseport" : ""}`;
  return `  upstream ${route.name} { server 127.0.0.1:${route.targetPort}; }
  server {
    listen 127.0.0.1:${route.listenPort}${flags};
    proxy_pass ${route.name};
    proxy_timeout 1m;
  }
`;
}
