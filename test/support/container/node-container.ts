/** A node in a container that has no more rights than it needs: what the README recommends. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../time/wait-for.ts";
import type { ContainerEngine } from "./container-engine.ts";

const PORTMESH = "/usr/bin/portmesh";
const FEW_RIGHTS = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];

export interface NodeContainerOptions {
  readonly image: string;
  /** Of the container and its host. */
  readonly name: string;
  /** Text of the configuration file. */
  readonly config: string;
  /** Directory of the test for its files. */
  readonly directory: string;
  /** More options of `docker run`. */
  readonly options: readonly string[];
  /** Instead of the image's own. */
  readonly command?: readonly string[];
}

export class NodeContainer {
  private constructor(
    readonly engine: ContainerEngine,
    readonly name: string,
  ) {}

  static async start(engine: ContainerEngine, container: NodeContainerOptions): Promise<NodeContainer> {
    const { image, name, config, directory, options, command = [] } = container;
    const file = join(directory, engine.name, name, "portmesh.toml");
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, config);
    chmodSync(file, 0o644);
    const mount = `--volume=${file}:/etc/portmesh/portmesh.toml:ro`;
    const names = [`--name=${name}`, `--hostname=${name}`];
    await engine.run("run", "--detach", ...names, ...FEW_RIGHTS, mount, ...options, image, ...command);
    return new NodeContainer(engine, name);
  }

  /** Runs a command of portmesh in it and gives what it printed. */
  portmesh(...args: readonly string[]): Promise<string> {
    return this.engine.run("exec", this.name, PORTMESH, ...args);
  }

  async waitForServing(): Promise<void> {
    const isServing = async () => {
      if ((await this.inspect(".State.Running")) !== "true") throw new Error("it has ended");
      return (await this.engine.try("exec", this.name, PORTMESH, "status", "--json")).exitCode === 0;
    };
    try {
      await waitFor(isServing, { what: `${this.name} to serve`, deadlineMs: 60_000 });
    } catch (error) {
      throw new Error(`${(error as Error).message}: the log of ${this.name}:\n${await this.log()}`);
    }
  }

  async log(): Promise<string> {
    const { stdout, stderr } = await this.engine.try("logs", this.name);
    return stdout + stderr;
  }

  /** A field of `docker inspect`: ".State.ExitCode" */
  async inspect(field: string): Promise<string> {
    return (await this.engine.run("inspect", `--format={{${field}}}`, this.name)).trim();
  }

  /** Sends the image's stop signal and gives the exit code. */
  async stop(): Promise<number> {
    await this.engine.run("stop", "--time=30", this.name);
    return Number(await this.inspect(".State.ExitCode"));
  }

  async remove(): Promise<void> {
    await this.engine.run("rm", "--force", this.name);
  }
}
