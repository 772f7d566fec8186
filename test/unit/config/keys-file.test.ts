import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { compareConfigs, effectiveConfig, formatProblem, readConfig } from "../../../src/config/index.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { configOf, problemsOf } from "./problems-of.ts";

const [ONE, TWO] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString("base64")) as [string, string];

let dir: TempDir;

beforeEach(() => {
  dir = tempDir();
});

afterEach(() => dir[Symbol.dispose]());

function read(keysFile = "keys", environment: Record<string, string> = {}) {
  const file = dir.file("pm.toml");
  writeFileSync(file, `[cluster]\nname = "c"\nkeys_file = ${JSON.stringify(keysFile)}\n`, { mode: 0o644 });
  return readConfig(file, { environment });
}

function write(text: string, mode = 0o600): void {
  writeFileSync(dir.file("keys"), text);
  chmodSync(dir.file("keys"), mode);
}

/** Of a file that must be right. */
function keysOf(result: ReturnType<typeof read>): readonly string[] {
  if ("problems" in result) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.config.cluster!.keys;
}

function problemsIn(result: ReturnType<typeof read>): string[] {
  return "problems" in result ? result.problems.map(formatProblem) : [];
}

describe("a file of keys", () => {
  test.each([
    ["one line", `${ONE}\n`],
    ["no line end", ONE],
    ["comments, blank lines, blanks", `# new\n\n  ${ONE}\t# from 2026\n   \n#${TWO}\n`],
    ["CRLF and a byte order mark", `\uFEFF# keys\r\n${ONE}\r\n\r\n`],
    ["no padding", ONE.replace("=", "")],
  ])("%s", (_, text) => {
    write(text);
    const result = read();
    expect(keysOf(result)).toEqual([ONE]);
    expect(result.warnings).toBeUndefined();
  });

  test("the order of the lines is that of the keys", () => {
    write(`${TWO}\n${ONE}\n`);
    expect(keysOf(read())).toEqual([TWO, ONE]);
  });

  test("a relative path begins at the configuration, an absolute one is itself, a variable is replaced", () => {
    mkdirSync(dir.file("sub"));
    write(ONE);
    expect(keysOf(read("./sub/../keys"))).toEqual([ONE]);
    expect(keysOf(read(dir.file("keys")))).toEqual([ONE]);
    expect(keysOf(read("${SECRETS}/keys", { SECRETS: dir.file("") }))).toEqual([ONE]);
  });

  test("with keys all traffic is encrypted, and gossip may listen everywhere", () => {
    write(ONE);
    const result = read();
    expect(result).toMatchObject({
      config: { overlay: { encrypt: true }, cluster: { keysFile: dir.file("keys") } },
    });
  });

  test("who can read the keys counts at the file of keys, not at the configuration", () => {
    write(ONE, 0o644);
    expect(read().warnings).toEqual([
      `${dir.file("keys")}: every user of this machine can read cluster.keys: chmod o-r ${dir.file("keys")}`,
    ]);
  });

  test("config shows the file and no key", () => {
    write(ONE);
    const result = read();
    if ("problems" in result) throw new Error("wrong");
    expect(effectiveConfig(result.config)).toMatchObject({ cluster: { keys_file: dir.file("keys") } });
    expect(JSON.stringify(effectiveConfig(result.config))).not.toContain(ONE.slice(0, 8));
  });
});

describe("a file of keys that is wrong", () => {
  test("each line that is no key is reported at its place, and not quoted", () => {
    write(`${ONE}\n# fine\nhunter2-hunter2\nYWJj\n`);
    const result = read();
    expect(problemsIn(result)).toEqual([
      `${dir.file("keys")}:3: a key that is not base64: \`portmesh keygen\` prints one`,
      `${dir.file("keys")}:4: a key of 3 bytes: 16, 24 or 32 are allowed; \`portmesh keygen\` prints one`,
    ]);
    expect(JSON.stringify(result)).not.toContain("hunter2");
    expect(result).toMatchObject({ keysFile: dir.file("keys") });
  });

  test.each(["", "\n\n", "# none yet\n", "\uFEFF"])("%j has no key", (text) => {
    write(text);
    expect(problemsIn(read())).toEqual([
      `${dir.file("keys")}: no key in it: write the output of \`portmesh keygen\` to it`,
    ]);
  });

  test("what cannot be read is reported where the configuration names it", () => {
    const place = `${dir.file("pm.toml")}:3: cluster.keys_file: cannot read ${dir.file("keys")}: `;
    expect(problemsIn(read())).toEqual([
      `${place}it does not exist: write the output of \`portmesh keygen\` to it, or correct the path`,
    ]);
    mkdirSync(dir.file("keys"));
    expect(problemsIn(read())).toEqual([
      `${place}it is a directory, not a regular file: save the keys to a file, one on each line`,
    ]);
  });

  test("a pipe, an endless device, a file of 1 GiB: at once", () => {
    Bun.spawnSync(["mkfifo", dir.file("pipe")]);
    symlinkSync("/dev/zero", dir.file("zero"));
    write("");
    truncateSync(dir.file("keys"), 2 ** 30);
    expect(problemsIn(read("pipe")).join()).toContain("it is a pipe");
    expect(problemsIn(read("zero")).join()).toContain("it is a device");
    expect(problemsIn(read()).join()).toContain("1073741824 bytes: at most 65536 are allowed");
  });

  test("binary rubbish is one problem for each line, and no throw", () => {
    writeFileSync(
      dir.file("keys"),
      Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7) % 256)),
    );
    expect(problemsIn(read()).length).toBeGreaterThan(0);
  });

  test("a key in the place of the path is not shown", () => {
    for (const pasted of [
      ONE,
      "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRW",
      Buffer.alloc(40, 0xb5).toString("base64"),
    ]) {
      const result = read(pasted);
      expect(problemsIn(result)).toHaveLength(1);
      expect(JSON.stringify({ ...result, keysFile: "" })).not.toContain(pasted.slice(0, 8));
    }
  });
});

describe("cluster.keys_file among the other keys", () => {
  test("together with keys it is a problem", () => {
    expect(problemsOf(`[cluster]\nkeys = ["${ONE}"]\nkeys_file = "keys"`)).toEqual([
      "test.toml:3: cluster.keys_file: cluster.keys is set as well: remove one of the two",
    ]);
  });

  test.each(["5", '""', '["keys"]', '"a\\u0000"'])("%s is refused", (value) => {
    expect(problemsOf(`[cluster]\ninsecure = true\nkeys_file = ${value}`)).toHaveLength(1);
  });

  test("other keys in it, and another file, are applied by a reload", () => {
    const text = '[cluster]\nkeys_file = "keys"';
    const before = configOf(text, "/etc/pm.toml", { keys: [ONE] });
    const after = configOf(text.replace('"keys"', '"other"'), "/etc/pm.toml", { keys: [ONE, TWO] });
    const { settings } = compareConfigs(before, after);
    expect(settings.map(({ key, needsRestart }) => [key, needsRestart])).toEqual([
      ["cluster.keys", false],
      ["cluster.keys_file", false],
    ]);
    expect(JSON.stringify(settings)).not.toContain(ONE.slice(0, 8));
  });
});
