/**
 * The executable as a new user meets it, who names no paths: which file it reads, where its socket and its state are,
 * and that its commands find it. Each node has /etc, /run and /var/lib of its own, in a mount namespace.
 */
import { afterEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandResult, EXECUTABLE } from "../support/node/node-process.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const isPossible = process.getuid!() === 0 && !lacks("unshare") && !lacks("nsenter") && !lacks("setpriv");
const USER = 65_431;
const AS_USER = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];

interface Machine {
  /** Becomes /etc/portmesh. */
  readonly etc: Readonly<Record<string, string>>;
  /** Runs before the node, as root. */
  readonly prepare?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** In front of the executable. */
  readonly as?: readonly string[];
}

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const node of running.splice(0)) await node.stop();
});

class FreshMachine {
  readonly directory = mkdtempSync(join(tmpdir(), "portmesh-test-"));
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #env: Readonly<Record<string, string>>;
  readonly #as: readonly string[];
  log = "";

  /** `portmesh run`, with these arguments. */
  constructor({ etc, prepare = "true", env = {}, as = [] }: Machine, ...args: string[]) {
    this.#env = { PATH: process.env.PATH!, ...env };
    this.#as = as;
    chmodSync(this.directory, 0o755);
    mkdirSync(join(this.directory, "etc"));
    for (const [name, text] of Object.entries(etc)) writeFileSync(join(this.directory, "etc", name), text);
    const script = `
      for place in /etc /run /var/lib; do mount -t tmpfs -o mode=755 none $place || exit 99; done
      cp -r "$1/etc" /etc/portmesh; cd /; ${prepare}; shift; exec "$@"`;
    const command = [...as, EXECUTABLE, "run", ...args];
    this.child = Bun.spawn(
      ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", this.directory, ...command],
      { env: this.#env, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    running.push(this);
    for (const stream of [this.child.stdout, this.child.stderr]) void this.#collect(stream);
  }

  async serves(): Promise<void> {
    await waitFor(
      async () => {
        if (this.child.exitCode !== null) throw new Error(`the node ended: ${this.log}`);
        return this.log.includes("serving");
      },
      { what: "the node to serve" },
    );
  }

  async endsWith(exitCode: number, words: string): Promise<void> {
    await waitFor(async () => this.child.exitCode !== null && this.log.includes(words), { what: "its end" });
    expect(this.child.exitCode).toBe(exitCode);
  }

  /** In the same mount namespace, as the same user unless `as` is given. */
  async command(args: readonly string[], as: readonly string[] = this.#as): Promise<CommandResult> {
    const inside = ["nsenter", `--target=${this.child.pid}`, "--mount", "--", ...as];
    const child = Bun.spawn([...inside, EXECUTABLE, ...args], {
      env: this.#env,
      cwd: "/",
      stdin: "ignore",
      stderr: "pipe",
    });
    const [stdout, stderr, exitCode] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
      child.exited,
    ]);
    return { exitCode, stdout, stderr };
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.log += decoder.decode(chunk, { stream: true });
  }
}

const NAMED = (name: string) => `[node]\nname = "${name}"\n[proxy]\nworkers = 1\n`;

test.skipIf(!isPossible)(
  "root: the file in /etc/portmesh, TOML before JSON; commands need no option",
  async () => {
    const machine = new FreshMachine({
      etc: { "portmesh.toml": NAMED("toml"), "portmesh.json": '{"node":{"name":"json"}}' },
    });
    await machine.serves();
    const status = await machine.command(["status", "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({
      node: "toml",
      config: { file: "/etc/portmesh/portmesh.toml" },
    });
    expect(machine.log).toContain('"socket":"/run/portmesh/portmesh.sock"');
    expect(await machine.command(["check"])).toMatchObject({
      exitCode: 0,
      stdout: "/etc/portmesh/portmesh.toml: ok\n",
    });
    expect((await machine.command(["reload"])).stdout).toBe("no change\n");
  },
);

test.skipIf(!isPossible)("only JSON there; PORTMESH_CONFIG goes before both", async () => {
  const json = new FreshMachine({
    etc: { "portmesh.json": '{"node":{"name":"json"},"proxy":{"workers":1}}' },
  });
  await json.serves();
  expect(JSON.parse((await json.command(["status", "--json"])).stdout)).toMatchObject({ node: "json" });
  const named = new FreshMachine({
    etc: { "portmesh.toml": NAMED("toml"), "mine.toml": NAMED("mine") },
    env: { PORTMESH_CONFIG: "/etc/portmesh/mine.toml" },
  });
  await named.serves();
  expect(JSON.parse((await named.command(["status", "--json"])).stdout)).toMatchObject({ node: "mine" });
});

test.skipIf(!isPossible)("no file at all: every place is named, exit code 2", async () => {
  const machine = new FreshMachine({ etc: {} });
  await machine.endsWith(2, "-c FILE");
  expect(machine.log).toMatch(
    /^no configuration file: PORTMESH_CONFIG .* \/etc\/portmesh\/portmesh\.toml .*portmesh\.json/,
  );
});

test.skipIf(!isPossible)(
  "a user: socket in the runtime directory, state at home, found without an option",
  async () => {
    const machine = new FreshMachine({
      etc: { "portmesh.toml": NAMED("mine") },
      prepare: `mkdir -p /run/user/${USER} /var/lib/home && chown ${USER} /run/user/${USER} /var/lib/home`,
      env: { HOME: "/var/lib/home", XDG_RUNTIME_DIR: `/run/user/${USER}` },
      as: AS_USER,
    });
    await machine.serves();
    expect(machine.log).toContain(`"socket":"/run/user/${USER}/portmesh/portmesh.sock"`);
    expect(JSON.parse((await machine.command(["status", "--json"])).stdout)).toMatchObject({
      node: "mine",
      storeError: null,
    });
    expect(
      (await machine.command(["service", "create", "--name", "a", "--publish", "18081:80"])).exitCode,
    ).toBe(0);
    const state = ["stat", "-c", "%a", "/var/lib/home/.local/state/portmesh/state"];
    const { stdout } = Bun.spawnSync(["nsenter", `--target=${machine.child.pid}`, "--mount", "--", ...state]);
    expect(stdout.toString()).toBe("600\n");
    // another user's command says where it has looked
    const { exitCode, stderr } = await machine.command(["status"], []);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      "cannot reach the node: /run/portmesh/portmesh.sock: does not exist; /var/lib/portmesh/portmesh.sock",
    );
  },
);

test.skipIf(!isPossible)(
  "a read-only root: the socket is in the one directory that can be written to",
  async () => {
    const machine = new FreshMachine({
      etc: { "portmesh.toml": NAMED("ro") },
      prepare: `mkdir /var/lib/portmesh && chown ${USER} /var/lib/portmesh && mount -o remount,ro /run`,
      env: { HOME: "/" },
      as: AS_USER,
    });
    await machine.serves();
    expect(machine.log).toContain('"socket":"/var/lib/portmesh/portmesh.sock"');
    expect(JSON.parse((await machine.command(["status", "--json"])).stdout)).toMatchObject({ node: "ro" });
  },
);

test.skipIf(!isPossible)(
  "nowhere a socket can be made: one error with every place, exit code 1",
  async () => {
    const machine = new FreshMachine({
      etc: { "portmesh.toml": NAMED("none") },
      env: { HOME: "/" },
      as: AS_USER,
    });
    expect(await machine.child.exited).toBe(1);
    await waitFor(async () => machine.log.includes("admin.socket"), { what: "the error" });
    expect(machine.log).toMatch(
      /^cannot listen for commands: \/run\/portmesh\/portmesh\.sock: .*; \/run\/user\/65431\/.*; \/var\/lib\/portmesh\/.*: set admin\.socket/,
    );
  },
);
