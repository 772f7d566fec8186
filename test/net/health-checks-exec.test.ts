/**
 * Health checks by a program: what it gets, what becomes of it, and whose programs a node runs.
 *
 *   node -> task "a" of this node, checked by a shell script in the node's directory
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TaskInfo } from "../../src/admin/index.ts";
import { CheckedTask } from "../support/load/checked-task.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

let opened: AsyncDisposableStack;
let directory: TempDir;
let script: string;
let task: CheckedTask;
let published: number;
let node: NodeProcess;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  directory = opened.use(tempDir());
  script = join(directory.path, "check.sh");
  task = opened.adopt(new CheckedTask("a"), (started) => started.stop());
  published = await freePort();
});

afterEach(() => opened.disposeAsync());

/** The script replaces itself in one step: one that runs may be another's. */
function says(lines: string): void {
  writeFileSync(script, `#!/bin/sh\ncd ${directory.path}\n${lines}\n`);
  chmodSync(script, 0o755);
}

const SERVICE = () => `[[services]]
name = "web"
publish = ["${published}:80"]
tasks = ["${task.address}"]
`;

function file(timeout = "10s"): string {
  const timing = `interval = "100ms", timeout = "${timeout}", rise = 1, fall = 1`;
  return `${SERVICE()}check = { type = "exec", command = ["${script}", "one two"], ${timing} }\n`;
}

async function start(text: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  node = NodeProcess.startIn(directory.path, text, [], env);
  opened.defer(() => node.kill());
  await node.serves();
}

async function becomes(state: string, because: RegExp): Promise<void> {
  let seen = "";
  await waitFor(
    async () => {
      const response = await fetch("http://portmesh/v1/services/web", { unix: node.socket });
      const { tasks } = (await response.json()) as { tasks: TaskInfo[] };
      const { health } = tasks[0]!;
      seen = `${health?.state}: ${health?.reason}`;
      return health?.state === state && because.test(health.reason);
    },
    { what: `the task to become ${state} because of ${because}` },
  ).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${seen}`);
  });
}

test("exit codes, output, signals, and a program that is not there", async () => {
  says('echo "no route"; exit 3');
  await start(file());
  await becomes("unhealthy", /^exit code 3: "no route"$/);
  says("exit 0");
  await becomes("healthy", /^exit code 0$/);
  says("kill -9 $$");
  await becomes("unhealthy", /^killed by SIGKILL$/);
  says("exit 0");
  await becomes("healthy", /^exit code 0$/);
  says("echo 'drain: backup runs'; exit 1");
  await becomes("draining", /backup runs$/);
  says("exit 0");
  await becomes("healthy", /^exit code 0$/);
  says("head -c 1000000 /dev/zero; sleep 1000");
  await becomes("unhealthy", /^more than 64 KiB of output$/);
  says("exit 0");
  await becomes("healthy", /^exit code 0$/);
  await node.reload(file().replace("check.sh", "missing.sh"));
  await becomes("unhealthy", /^cannot start .*missing.sh: not found/);
});

test("the program knows the task, and nothing of the node", async () => {
  says('env > env.new; ls /proc/self/fd > fds.new; echo "$1" > args; mv env.new env; mv fds.new fds');
  await start(file(), { SECRET_TOKEN: "s3cret" });
  await becomes("healthy", /^exit code 0$/);
  const env = readFileSync(join(directory.path, "env"), "utf8").split("\n");
  const names = env
    .map((line) => line.split("=")[0])
    .filter((name) => name !== "" && !/^(_|PWD|OLDPWD|SHLVL)$/.test(name!));
  expect(names.toSorted()).toEqual([
    "PATH",
    "PORTMESH_HOST",
    "PORTMESH_PORT",
    "PORTMESH_SERVICE",
    "PORTMESH_TASK",
  ]);
  expect(env).toContain(`PORTMESH_TASK=${task.address}`);
  expect(env).toContain(`PORTMESH_PORT=${task.port}`);
  // 3 is the directory that ls reads
  expect(readFileSync(join(directory.path, "fds"), "utf8").trim().split("\n")).toEqual(["0", "1", "2", "3"]);
  expect(readFileSync(join(directory.path, "args"), "utf8")).toBe("one two\n");
});

test("at the timeout the program is killed with what it has started", async () => {
  says("sleep 1000 & echo $! > child.new; mv child.new child; echo $$ > parent; wait");
  await start(file("300ms"));
  await becomes("unhealthy", /^no answer in 300 ms$/);
  says("exit 0");
  await becomes("healthy", /^exit code 0$/);
  for (const name of ["child", "parent"]) {
    const pid = readFileSync(join(directory.path, name), "utf8").trim();
    await waitFor(() => !isRunning(pid), { what: `process ${pid} to end` });
  }
});

test("what a program leaves behind is killed, and holds nothing up", async () => {
  says("sleep 1000 & echo $! > child.new; mv child.new child; exit 0");
  await start(file());
  await becomes("healthy", /^exit code 0$/);
  const pid = readFileSync(join(directory.path, "child"), "utf8").trim();
  await waitFor(() => !isRunning(pid), { what: `process ${pid} to end` });
});

test("a program that a command names runs only where the node allows it", async () => {
  says("exit 0");
  await start(SERVICE());
  const other = await freePort();
  const create = () =>
    portmesh(
      ...["service", "create", "--name", "api", "-p", `${other}:80`, "--task", task.address],
      ...["--health-cmd", `exec ${script}`, "--health-interval", "100ms", "--socket", node.socket],
    );
  const refused = await create();
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain("this node does not run exec checks defined by command");
  await node.reload(`[node]\nexec_checks = true\n${SERVICE()}`);
  expect((await create()).exitCode).toBe(0);
  const health = async () => {
    const { stdout } = await portmesh("service", "ps", "api", "--json", "--socket", node.socket);
    return (JSON.parse(stdout) as TaskInfo[])[0]!.health!;
  };
  await waitFor(async () => (await health()).state === "healthy", { what: "the program to run" });
  await node.reload(SERVICE());
  await waitFor(async () => (await health()).reason.startsWith("not run:"), { what: "it to run no more" });
  expect((await health()).state).toBe("unhealthy");
});

/** Also not as a zombie that nobody has waited for. */
function isRunning(pid: string): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
