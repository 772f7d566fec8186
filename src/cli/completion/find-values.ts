/**
 * Values of options and arguments. Names come from the running node; without one there are none, and no message
 * disturbs the line that is being typed.
 */
import type { ServiceInfo } from "../../admin/index.ts";
import { ClusterClient } from "../client/cluster-client.ts";
import { findSocket } from "../commands/options.ts";
import type { Invocation } from "../invocation.ts";
import type { Candidate, ParsedLine, Wanted } from "./find-wanted.ts";

/** The operator waits for it at the keyboard. */
const DEADLINE_MS = 1_000;

/** "files": the shell completes the name of a file. */
export type Values = "files" | readonly Candidate[];

export async function findValues(wanted: Wanted, env: Invocation["env"]): Promise<Values> {
  if (wanted.kind === "candidates") return wanted.candidates;
  const { line } = wanted;
  if (wanted.kind === "option") {
    const { option } = wanted;
    if (/<(?:file|path)>/.test(option.flags)) return "files";
    if (option.attributeName() === "taskRm") return await tasks(line, env);
    return await choices(option.attributeName());
  }
  const { argument } = wanted;
  if (argument.argChoices !== undefined) return argument.argChoices.map(plain);
  switch (argument.name()) {
    case "file":
      return "files";
    case "service":
      return (await services(line, env))
        .filter(({ name }) => !line.args.includes(name))
        .map(({ name, spec }) => ({
          value: name,
          description: [...new Set(spec.publish.map(portName))].slice(0, 4).join(" "),
        }));
    case "node":
      return (await ask(line, env, (client) => client.nodes())).map(({ name, state }) => ({
        value: name,
        description: state,
      }));
    case "task":
      return await tasks(line, env);
    case "port":
      return (await services(line, env)).flatMap(({ name, spec }) =>
        spec.publish.map((port) => ({ value: portName(port), description: name })),
      );
    default:
      return [];
  }
}

/** Of the service that the line names, else of all. */
async function tasks(line: ParsedLine, env: Invocation["env"]): Promise<Candidate[]> {
  const all = await services(line, env);
  const named = all.filter(({ name }) => line.args.includes(name));
  return (named.length > 0 ? named : all).flatMap(({ name, tasks }) =>
    tasks.map((task) => ({ value: task.name, description: `${name}, ${task.state} on ${task.node}` })),
  );
}

function services(line: ParsedLine, env: Invocation["env"]): Promise<readonly ServiceInfo[]> {
  return ask(line, env, (client) => client.services());
}

async function ask<T>(
  line: ParsedLine,
  env: Invocation["env"],
  question: (client: ClusterClient) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const [socket, config] = [line.values.get("socket"), line.values.get("config")];
  const options = { ...(socket !== undefined && { socket }), ...(config !== undefined && { config }) };
  try {
    return await question(new ClusterClient(await findSocket(options, env), DEADLINE_MS));
  } catch {
    return [];
  }
}

async function choices(attribute: string): Promise<readonly Candidate[]> {
  const { BALANCES, PREFERENCES, SEND_PROXY, UDP_MODES } = await import("../../model/index.ts");
  const byOption: Readonly<Record<string, readonly string[]>> = {
    balance: BALANCES,
    prefer: PREFERENCES,
    sendProxy: SEND_PROXY,
    udpMode: UDP_MODES,
  };
  return (byOption[attribute] ?? []).map(plain);
}

function portName({ published, protocol }: ServiceInfo["spec"]["publish"][number]): string {
  return `${published}/${protocol}`;
}

function plain(value: string): Candidate {
  return { value, description: "" };
}
