/**
 * The head of an HTTP/1 request: bytes in, fields or a refusal out. Pure and strict: what two programs may read differently
 * is refused, not guessed at. A body needs a Content-Length. [RFC 9112 §3, §5, §6]
 */

export const MAX_HEAD_BYTES = 16 * 1024;
const MAX_HEADERS = 100;

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const REQUEST_LINE = /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.([01])$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*(.*?)[\t ]*$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Given twice, two readers might take different ones. */
const SINGLE: ReadonlySet<string> = new Set(["host", "content-length", "authorization", "origin"]);
const LENGTH = /^\d{1,12}$/;

export interface RequestHead {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  readonly isHttp10: boolean;
  /** Names in lower case; what is given several times is joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly bodyBytes: number;
}

export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where the head ends, behind its empty line; -1: not yet. */
export function findHeadEnd(bytes: Uint8Array): number {
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("\r\n\r\n");
  return end < 0 ? -1 : end + 4;
}

/** @param bytes up to findHeadEnd */
export function parseHead(bytes: Uint8Array): RequestHead | Refusal {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - 4)
    .toString("latin1")
    .split("\r\n");
  const line = REQUEST_LINE.exec(lines[0]!);
  if (line === null) return bad("the request line is not METHOD /PATH HTTP/1.1");
  const [, method, target, minor] = line as unknown as [string, string, string, string];
  if (!METHODS.has(method)) return { status: 501, error: `the method ${method} is not supported` };
  const headers = readFields(lines.slice(1));
  if (!(headers instanceof Map)) return headers;
  if (minor === "1" && !headers.has("host")) return bad("the header Host is missing");
  if (headers.has("transfer-encoding"))
    return { status: 411, error: "a body needs a Content-Length: Transfer-Encoding is not supported" };
  const length = headers.get("content-length") ?? "0";
  if (!LENGTH.test(length)) return bad("Content-Length is not a number");
  return { method, target, isHttp10: minor === "0", headers, bodyBytes: Number(length) };
}

function readFields(lines: readonly string[]): Map<string, string> | Refusal {
  if (lines.length > MAX_HEADERS) return { status: 431, error: `more than ${MAX_HEADERS} headers` };
  const headers = new Map<string, string>();
  for (const line of lines) {
    const field = FIELD.exec(line);
    if (field === null || !VALUE.test(field[2]!)) return bad("a header is not NAME: VALUE");
    const name = field[1]!.toLowerCase();
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) return bad(`the header ${field[1]} is given twice`);
    headers.set(name, before === undefined ? field[2]! : `${before}, ${field[2]}`);
  }
  return headers;
}

function bad(error: string): Refusal {
  return { status: 400, error };
}
