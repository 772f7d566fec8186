/**
 * What `docker service` takes and portmesh does not, because it starts no containers: refused with a word about what
 * to use instead, since an option that is accepted and does nothing misleads.
 */
import { type Command, Option } from "commander";
import { CommandFailure, EXIT_WRONG } from "../../invocation.ts";

interface DockerOption {
  readonly flags: string;
  /** Reads after the option. */
  readonly instead: string;
}

const NO_CONTAINERS = "portmesh starts no containers: tasks that run already are named with --task ADDRESS";
const NO_WAIT = "leave it out: the command returns as soon as this node serves the ports";

const DOCKER_OPTIONS: readonly DockerOption[] = [
  {
    flags: "--mode <mode>",
    instead: "leave it out: a service runs where a node declares a task, on every node if every node does",
  },
  {
    flags: "--endpoint-mode <mode>",
    instead: "leave it out: there is no virtual address; clients connect to a published port of any node",
  },
  { flags: "--constraint <expression>", instead: "use --node-label KEY=VALUE to say which nodes listen" },
  { flags: "--constraint-add <expression>", instead: "use --node-label KEY=VALUE to say which nodes listen" },
  { flags: "--image <image>", instead: NO_CONTAINERS },
  { flags: "--network <network>", instead: NO_CONTAINERS },
  { flags: "-e, --env <variable>", instead: NO_CONTAINERS },
  { flags: "--mount <mount>", instead: NO_CONTAINERS },
  { flags: "--force", instead: NO_CONTAINERS },
  { flags: "-d, --detach", instead: NO_WAIT },
];

/** Makes the options known, so that they are refused in words; `--help` does not list them. */
export function withDockerOptions(command: Command): Command {
  for (const { flags } of DOCKER_OPTIONS) command.addOption(new Option(flags).hideHelp());
  return command.addOption(new Option("--replicas <count>").hideHelp());
}

/**
 * Throws CommandFailure for the first of them that was given. `--replicas` may stand when it says what is so.
 *
 * @param taskCount null: how many there are is not up to this command
 */
export function refuseDockerOptions(
  options: Readonly<Record<string, unknown>>,
  taskCount: number | null,
): void {
  for (const { flags, instead } of DOCKER_OPTIONS) {
    const option = new Option(flags);
    if (options[option.attributeName()] !== undefined) fail(option.long ?? flags, instead);
  }
  const { replicas } = options;
  if (replicas === undefined) return;
  if (taskCount === null) fail("--replicas", "portmesh starts no tasks: use --task-add and --task-rm");
  if (Number(replicas) !== taskCount) {
    fail(`--replicas ${replicas}`, `portmesh starts no tasks: name each with --task; ${taskCount} given`);
  }
}

/** Where Docker has the image. */
export function refuseImage(words: readonly string[]): void {
  const [image] = words;
  if (image !== undefined)
    fail(image, "portmesh takes no image: name where the service runs with --task ADDRESS");
}

function fail(what: string, instead: string): never {
  throw new CommandFailure(`${what}: ${instead}`, EXIT_WRONG);
}
