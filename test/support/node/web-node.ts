/**
 * One node with a web service and its task, in a directory that outlives the process, and a stand-in for the service
 * manager: for tests of how the process starts, says how it is, and ends.
 */
import { type HttpTask, startNamedTask } from "../load/http-task.ts";
import { freePort } from "../os/free-port.ts";
import { FakeServiceManager } from "../os/service-manager.ts";
import { type TempDir, tempDir } from "../os/temp-dir.ts";
import { NodeProcess } from "./node-process.ts";

export interface StartOptions {
  /** The file; absent: the service alone. */
  readonly text?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** In front of the command. */
  readonly wrapper?: readonly string[];
  /** Descriptors from 3 on. */
  readonly fds?: readonly number[];
}

export class WebNode implements AsyncDisposable {
  readonly directory: TempDir = tempDir();
  readonly systemd = new FakeServiceManager(this.directory.file("notify"));
  readonly task: HttpTask = startNamedTask("task");
  #process: NodeProcess | null = null;

  private constructor(readonly published: number) {}

  /** Nothing runs yet but the task, which answers with "task". */
  static async create(): Promise<WebNode> {
    return new WebNode(await freePort());
  }

  /** The process that was started last. */
  get process(): NodeProcess {
    if (this.#process === null) throw new Error("the node was not started");
    return this.#process;
  }

  /** With this port of the node. */
  serviceAt(published: number, name = "web"): string {
    return `[[services]]\nname = "${name}"\npublish = ["${published}:${this.task.port}"]\ntasks = ["127.0.0.1"]\n`;
  }

  /** Does not wait until it serves. */
  start({ text, env = {}, wrapper = [], fds = [] }: StartOptions = {}): NodeProcess {
    const file = text ?? this.serviceAt(this.published);
    this.#process = NodeProcess.startIn(this.directory.path, file, wrapper, env, fds);
    return this.#process;
  }

  /** As the manager does: what is in its store goes along. Resolves when the node has told it that it serves. */
  async startManaged({ text, env, wrapper = [] }: Omit<StartOptions, "fds"> = {}): Promise<NodeProcess> {
    const { passed } = this.systemd;
    this.systemd.notices.length = 0;
    const started = this.start({
      ...(text !== undefined && { text }),
      env: { ...env, ...passed.env },
      wrapper: [...wrapper, ...passed.wrapper],
      fds: passed.fds,
    });
    await this.systemd.hears("READY=1", ({ READY }) => READY === "1");
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.kill();
    await this.task.stop();
    this.systemd[Symbol.dispose]();
    this.directory[Symbol.dispose]();
  }
}
