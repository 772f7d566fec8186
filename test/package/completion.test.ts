/** Tab in bash, zsh and fish: the script that portmesh prints, in the shell itself, on a terminal. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { EXECUTABLE, NodeProcess, portmesh } from "../support/node/node-process.ts";
import { lacks } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SERVICES = `
[node]
name = "edge-1"
[[services]]
name = "my-web"
publish = ["18080:80"]
tasks = ["127.0.0.1:9001", "[::1]:9001"]
[[services]]
name = "dns-cache"
publish = ["18053:53/udp"]
tasks = ["127.0.0.1:9002"]
`;
/** What is typed, and the line after Tab. */
const LINES: readonly (readonly [typed: string, completed: string])[] = [
  ["portmesh ser", "portmesh service"],
  ["portmesh service up", "portmesh service update"],
  ["portmesh service list --js", "portmesh service list --json"],
  ["portmesh service create --bal", "portmesh service create --balance"],
  ["portmesh service create --balance le", "portmesh service create --balance least-connections"],
  ["portmesh service create --balance=le", "portmesh service create --balance=least-connections"],
  ["portmesh service rm my", "portmesh service rm my-web"],
  ["portmesh service rm my-web d", "portmesh service rm my-web dns-cache"],
  [
    "portmesh service inspect --format '{{ json . }}' my",
    "portmesh service inspect --format '{{ json . }}' my-web",
  ],
  [
    "portmesh service update --task-rm 127.0.0.1:9002 dn",
    "portmesh service update --task-rm 127.0.0.1:9002 dns-cache",
  ],
  ["portmesh node drain ed", "portmesh node drain edge-1"],
  ["portmesh task drain my-web 12", "portmesh task drain my-web 127.0.0.1:9001"],
  ["portmesh task drain my-web 127.0.0.1:", "portmesh task drain my-web 127.0.0.1:9001"],
  ["portmesh trace 18053", "portmesh trace 18053/udp"],
  ["portmesh completion f", "portmesh completion fish"],
  ["portmesh check -c ./fi", "portmesh check -c ./file.toml"],
  ["portmesh check --config=./fi", "portmesh check --config=./file.toml"],
];

const SHELLS = {
  bash: {
    args: ["--norc", "--noprofile", "-i"],
    setup: (script: string) => `source ${script}; bind -x '"\\C-xl": echo "LINE<$READLINE_LINE>"'\n`,
  },
  zsh: {
    args: ["-f", "-i"],
    setup: (script: string) =>
      `autoload -U compinit; compinit -D -u; source ${script}; ` +
      `show() { zle -I; print -r -- "LINE<$BUFFER>" }; zle -N show; bindkey '^Xl' show\n`,
  },
} as const;
const SHOW_LINE = "\x18l";
const ERASE_LINE = "\x15";

let dir: TempDir;
let node: NodeProcess;

beforeAll(async () => {
  dir = tempDir();
  symlinkSync(EXECUTABLE, dir.file("portmesh"));
  writeFileSync(dir.file("file.toml"), "");
  node = await NodeProcess.start(SERVICES);
});

afterAll(async () => {
  await node.stop();
  dir[Symbol.dispose]();
});

function environment(socket: string): Record<string, string> {
  const path = `${dir.path}:/usr/bin:/bin`;
  return { PATH: path, PORTMESH_SOCKET: socket, HOME: dir.path, TERM: "dumb", PS1: "$ " };
}

/** A shell on a terminal, the script of portmesh in force. */
class Shell implements AsyncDisposable {
  #output = "";
  readonly #child: Bun.Subprocess;
  readonly #terminal: Bun.Terminal;

  private constructor(name: keyof typeof SHELLS, socket: string) {
    const decoder = new TextDecoder();
    this.#terminal = new Bun.Terminal({
      cols: 400,
      rows: 50,
      data: (_, bytes) => {
        this.#output += decoder.decode(bytes, { stream: true });
      },
    });
    this.#child = Bun.spawn([name, ...SHELLS[name].args], {
      cwd: dir.path,
      env: environment(socket),
      terminal: this.#terminal,
    });
  }

  static async start(name: keyof typeof SHELLS, socket = node.socket): Promise<Shell> {
    const script = dir.file(`completion.${name}`);
    writeFileSync(script, (await portmesh("completion", name)).stdout);
    const shell = new Shell(name, socket);
    shell.#terminal.write(`${SHELLS[name].setup(script)}echo is-"ready"\n`);
    await waitFor(() => shell.#output.includes("is-ready"), { what: `${name} to start` });
    return shell;
  }

  /** The line that Tab makes of `line`. */
  async complete(line: string): Promise<string> {
    this.#output = "";
    this.#terminal.write(`${line}\t${SHOW_LINE}${ERASE_LINE}`);
    const shown = await waitFor(() => /LINE<(.*)>/.exec(this.#output), { what: `the line after ${line}` });
    return shown[1]!.trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    this.#terminal.close();
  }
}

for (const name of ["bash", "zsh"] as const) {
  describe.skipIf(lacks(name))(name, () => {
    test("Tab completes commands, options, values and the names of the running node", async () => {
      await using shell = await Shell.start(name);
      for (const [typed, completed] of LINES) expect(await shell.complete(typed)).toBe(completed);
    });

    test("without a node commands are completed, names are not, and no message appears in the line", async () => {
      await using shell = await Shell.start(name, dir.file("none.sock"));
      expect(await shell.complete("portmesh node dr")).toBe("portmesh node drain");
      expect(await shell.complete("portmesh node drain ed")).toBe("portmesh node drain ed");
    });
  });
}

describe.skipIf(lacks("fish"))("fish", () => {
  /** What Tab offers for the line: values and descriptions. */
  async function offers(line: string, socket = node.socket): Promise<string[]> {
    writeFileSync(dir.file("completion.fish"), (await portmesh("completion", "fish")).stdout);
    const child = Bun.spawn(
      ["fish", "--no-config", "-c", 'source completion.fish; complete -C "$argv[1]"', line],
      { cwd: dir.path, env: environment(socket), stderr: "pipe" },
    );
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(stderr).toBe("");
    return stdout.split("\n").filter(Boolean);
  }

  test("offers commands, options, values and the names of the running node", async () => {
    for (const [typed, completed] of LINES) {
      const words = (await offers(typed)).map((line) => line.split("\t")[0]!);
      expect(words.map((word) => word.replace(/\/$/, ""))).toContain(completed.split(" ").at(-1)!);
    }
  });

  test("shows what each of them is", async () => {
    expect(await offers("portmesh service rm ")).toEqual(["dns-cache\t18053/udp", "my-web\t18080/tcp"]);
    expect(await offers("portmesh task drain my-web ")).toEqual([
      expect.stringMatching(/^127\.0\.0\.1:9001\tmy-web, \w+ on edge-1$/),
      expect.stringMatching(/^\[::1\]:9001\tmy-web, \w+ on edge-1$/),
    ]);
  });

  test("without a node it offers no names", async () => {
    expect(await offers("portmesh node drain ", dir.file("none.sock"))).toEqual([]);
  });
});
