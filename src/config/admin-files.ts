/**
 * The files that [admin] names. admin.tokens_file: one token on each line, with what it allows:
 *
 *     read-only  7Tz5o…    # what `portmesh keygen` prints
 *     read-write Jx0gK…
 *
 * Only digests of the tokens are kept. admin.tls_cert and admin.tls_key: PEM, which must belong together.
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import type { Stats } from "node:fs";
import { readRegularFile } from "../sys/regular-file.ts";
import type { AdminTlsConfig, AdminTokenConfig } from "./config.ts";
import type { Problem } from "./problem.ts";
import { whyUnreadable } from "./read-failure.ts";
import { warnOfReaders } from "./readers.ts";

/** A thousand tokens; a certificate with its chain. */
const MAX_BYTES = 128 * 1024;
const MAX_TOKENS = 1_000;
/** 128 bits in base64; nobody guesses it. */
const MIN_TOKEN_CHARS = 22;
const TOKEN = /^[A-Za-z0-9+/_.~=-]{1,512}$/;
const ROLES = { "read-only": "read", "read-write": "write" } as const;

export type TokensReading =
  /** `warnings`: other users can read it. */
  | { readonly tokens: readonly AdminTokenConfig[]; readonly warnings: readonly string[] }
  | { readonly problems: readonly Problem[] }
  /** It cannot be read at all: to be reported where the configuration names it. */
  | { readonly unreadable: string };

export type TlsReading =
  | { readonly tls: AdminTlsConfig; readonly warnings: readonly string[] }
  | { readonly unreadable: string; readonly key: "tls_cert" | "tls_key" };

export function readTokensFile(path: string): TokensReading {
  try {
    const { bytes, stat } = readRegularFile(path, { maxBytes: MAX_BYTES, links: "follow" });
    const tokens = parseTokens(bytes.toString("utf8"), path);
    return "problems" in tokens
      ? tokens
      : { ...tokens, warnings: warnOfReaders(path, stat, "admin.tokens_file") };
  } catch (error) {
    return { unreadable: `cannot read ${path}: ${whyUnreadable(error as Error, TOKEN_HINTS)}` };
  }
}

const TOKEN_HINTS = {
  missing:
    "write lines like `read-only TOKEN` to it, with tokens from `portmesh keygen`, or correct the path",
  unfit: "save the tokens to a file, one on each line",
};

/** The text of a line is never quoted: it has a token in it. */
function parseTokens(
  text: string,
  file: string,
): { readonly tokens: AdminTokenConfig[] } | { readonly problems: Problem[] } {
  const tokens: AdminTokenConfig[] = [];
  const problems: Problem[] = [];
  const report = (line: number, message: string) =>
    problems.push({ file, line, column: line === 0 ? 0 : 1, key: "", value: "***", message });
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  for (const [index, line] of lines.entries()) {
    const entry = line.replace(/(^|\s)#.*/, "").trim();
    if (entry === "") continue;
    const token = readToken(entry);
    if (typeof token === "string") report(index + 1, token);
    else tokens.push(token);
  }
  if (problems.length === 0 && tokens.length === 0)
    report(0, "no token in it: write lines like `read-only TOKEN` to it, with tokens from `portmesh keygen`");
  if (tokens.length > MAX_TOKENS) report(0, `${tokens.length} tokens: at most ${MAX_TOKENS} are allowed`);
  return problems.length > 0 ? { problems } : { tokens };
}

/** Or what is wrong. */
function readToken(entry: string): AdminTokenConfig | string {
  const [role = "", token = "", ...rest] = entry.split(/\s+/);
  if (!Object.hasOwn(ROLES, role) || token === "" || rest.length > 0)
    return "not `read-only TOKEN` or `read-write TOKEN`";
  if (!TOKEN.test(token)) return "a token with other characters than letters, digits and +/_.~=-";
  if (token.length < MIN_TOKEN_CHARS)
    return `a token of ${token.length} characters: at least ${MIN_TOKEN_CHARS} are required; \`portmesh keygen\` prints one`;
  return { role: ROLES[role as keyof typeof ROLES], digest: sha256(token) };
}

export function readTlsFiles(certFile: string, keyFile: string): TlsReading {
  const cert = readPem(certFile);
  if ("unreadable" in cert) return { ...cert, key: "tls_cert" };
  const key = readPem(keyFile);
  if ("unreadable" in key) return { ...key, key: "tls_key" };
  const fault = findFault(cert.text, key.text, { certFile, keyFile });
  if (fault !== null) return fault;
  const digest = sha256(`${cert.text}\0${key.text}`);
  return {
    tls: { certFile, keyFile, cert: cert.text, key: key.text, digest },
    warnings: warnOfReaders(keyFile, key.stat, "admin.tls_key"),
  };
}

function findFault(
  cert: string,
  key: string,
  { certFile, keyFile }: Pick<AdminTlsConfig, "certFile" | "keyFile">,
): Extract<TlsReading, { unreadable: string }> | null {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return { unreadable: `${certFile} is not a certificate in PEM`, key: "tls_cert" };
  }
  try {
    const privateKey = createPrivateKey(key);
    if (certificate.checkPrivateKey(privateKey)) return null;
  } catch {
    return { unreadable: `${keyFile} is not a private key in PEM without a passphrase`, key: "tls_key" };
  }
  return { unreadable: `${keyFile} is not the key of the certificate in ${certFile}`, key: "tls_key" };
}

function readPem(
  path: string,
): { readonly text: string; readonly stat: Stats } | { readonly unreadable: string } {
  try {
    const { bytes, stat } = readRegularFile(path, { maxBytes: MAX_BYTES, links: "follow" });
    return { text: bytes.toString("utf8"), stat };
  } catch (error) {
    return { unreadable: `cannot read ${path}: ${whyUnreadable(error as Error, PEM_HINTS)}` };
  }
}

const PEM_HINTS = { missing: "correct the path", unfit: "save it to a file in PEM" };

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
