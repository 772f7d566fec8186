/** [admin] with the files it names. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import {
  compareConfigs,
  effectiveConfig,
  type FileResult,
  formatProblem,
  readConfig,
} from "../../../src/config/index.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { writeCertificate } from "../../support/os/tls-files.ts";

const TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir[Symbol.dispose]());

function write(name: string, text: string): string {
  const path = dir.file(name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
}

function read(admin: string): FileResult {
  return readConfig(write("pm.toml", `services = []\n[admin]\n${admin}\n`));
}

function problems(result: FileResult): string[] {
  return "problems" in result
    ? result.problems.map((problem) => formatProblem(problem).replaceAll(`${dir.file("")}/`, ""))
    : [];
}

function certificate(name: string): void {
  writeCertificate(dir.file(""), name, name);
}

describe("admin.listen", () => {
  test.each(["0.0.0.0:7980", "[::]:7980", "192.0.2.1:7980"])(
    "%s is refused without tokens_file",
    (listen) => {
      expect(problems(read(`listen = "${listen}"`))).toEqual([
        `pm.toml:3: admin.listen: "${listen}" is reachable from other machines: set tokens_file to a file with lines like ` +
          "`read-write TOKEN` (`portmesh keygen` prints a token), or listen on 127.0.0.1",
      ]);
    },
  );

  test.each(["127.0.0.1:7980", "[::1]:7980", "127.1.2.3:1"])("%s needs no token", (listen) => {
    const result = read(`listen = "${listen}"`);
    expect(problems(result)).toEqual([]);
    expect("config" in result && result.config.admin.http).toMatchObject({ tokens: null, tls: null });
  });

  test.each(['listen = ""', ""])("%p is off", (admin) => {
    const result = read(admin);
    expect("config" in result && result.config.admin.http).toBeNull();
  });

  test.each([
    ["localhost:7980", '"localhost" is a name: an IP address is required'],
    ["127.0.0.1", '"127.0.0.1" is not an address like'],
    ["127.0.0.1:0", "is not an address like"],
  ])("%s is no address", (listen, message) => {
    expect(problems(read(`listen = "${listen}"`)).join()).toContain(message);
  });

  test("what has no effect is said", () => {
    expect(problems(read('hosts = ["a.example"]\ntokens_file = "tokens"')).slice(0, 2)).toEqual([
      "pm.toml:3: admin.hosts: has no effect without admin.listen",
      "pm.toml:4: admin.tokens_file: has no effect without admin.listen",
    ]);
    expect(problems(read('listen = "127.0.0.1:1"\ntls_cert = "a.pem"'))).toEqual([
      "pm.toml:4: admin.tls_cert: has no effect without admin.tls_key",
    ]);
  });
});

describe("tokens_file", () => {
  const listen = 'listen = "0.0.0.0:7980"\ntokens_file = "tokens"';

  test("digests of its tokens are kept, and neither config nor a reload shows more than its path", () => {
    write("tokens", `# two\n\nread-only ${TOKEN}  # of the monitoring\nread-write\t${TOKEN}x\n`);
    const before = read(listen);
    if (!("config" in before)) throw new Error(problems(before).join());
    expect(before.config.admin.http?.tokens?.map(({ role }) => role)).toEqual(["read", "write"]);
    expect(JSON.stringify(effectiveConfig(before.config))).toContain(`"tokens_file":"${dir.file("tokens")}"`);
    write("tokens", `read-only ${TOKEN}y`);
    const after = read(listen);
    if (!("config" in after)) throw new Error(problems(after).join());
    const changes = compareConfigs(before.config, after.config);
    expect(changes.settings.map(({ key, needsRestart }) => [key, needsRestart])).toEqual([
      ["admin.tokens", false],
    ]);
    for (const shown of [before, after.config, effectiveConfig(after.config), changes])
      expect(JSON.stringify(shown)).not.toContain(TOKEN);
    expect(before.warnings?.join()).toContain("0.0.0.0:7980 is not encrypted");
  });

  test.each([
    ["nothing", "", "tokens: no token in it"],
    ["no role", TOKEN, "tokens:1: not `read-only TOKEN` or `read-write TOKEN`"],
    ["a short token", "\nread-only abc", "tokens:2: a token of 3 characters: at least 22 are required"],
    ["two tokens", `read-only ${TOKEN} ${TOKEN}`, "tokens:1: not `read-only TOKEN`"],
    ["a token with a quote", `read-only "${TOKEN}"`, "tokens:1: a token with other characters"],
  ])("%s in it is a problem at its line, which is not quoted", (_, text, message) => {
    write("tokens", text);
    const found = problems(read(listen)).join("\n");
    expect(found).toContain(message);
    expect(found).not.toContain(TOKEN);
  });

  test("a missing file is a problem with the fix, a token in the place of the path is not shown", () => {
    expect(problems(read(listen)).join()).toContain(
      "tokens: it does not exist: write lines like `read-only TOKEN`",
    );
    const wrong = problems(read(`listen = "0.0.0.0:1"\ntokens_file = "${TOKEN}"`)).join();
    expect(wrong).toContain("does not exist");
    expect(wrong).not.toContain(TOKEN);
  });

  test("a file that others can read is warned of", () => {
    chmodSync(write("tokens", `read-only ${TOKEN}`), 0o644);
    expect(read(listen).warnings?.join()).toContain(
      "every user of this machine can read admin.tokens_file: chmod o-r",
    );
  });
});

describe("TLS", () => {
  const tls = 'listen = "127.0.0.1:7980"\ntls_cert = "one.pem"\ntls_key = "one.key"';

  test("certificate and key belong together, and are not shown", async () => {
    await Promise.all([certificate("one"), certificate("two")]);
    const result = read(tls);
    if (!("config" in result)) throw new Error(problems(result).join());
    expect(new X509Certificate(result.config.admin.http!.tls!.cert).subject).toBe("CN=one");
    expect(JSON.stringify(effectiveConfig(result.config))).not.toContain("BEGIN");
    expect(problems(read(tls.replace("one.key", "two.key"))).join()).toContain(
      "two.key is not the key of the certificate in",
    );
    expect(problems(read(tls.replace("one.key", "one.pem"))).join()).toContain(
      "one.pem is not a private key in PEM without a passphrase",
    );
    expect(problems(read(tls.replace("one.pem", "one.key"))).join()).toContain(
      "one.key is not a certificate in PEM",
    );
    expect(problems(read(tls.replace("one.pem", "none.pem"))).join()).toContain(
      "none.pem: it does not exist",
    );
  });
});
