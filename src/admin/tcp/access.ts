/**
 * Who may do what over TCP, decided by the head of a request, before its body is read. Holds no socket; takes the time.
 *
 * - What changes something needs a read-write token, on loopback too. Without tokens only loopback is listened on, and
 *   reading is free there.
 * - A page of another origin in the operator's browser may reach this port: its requests are refused by Origin and
 *   Sec-Fetch-Site, and those of a name that is rebound to this address (DNS rebinding) by Host.
 * - What takes over the process or starts programs is left to the Unix socket.
 */
import { timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { AddressBudget } from "./address-budget.ts";
import type { Refusal, RequestHead } from "./request-head.ts";

/** Of the configuration: what is kept of a token is no use to anybody. */
export interface AccessToken {
  readonly role: "read" | "write";
  /** SHA-256 in hex. */
  readonly digest: string;
}

export interface AccessRules {
  /** null: there is no file of tokens. */
  readonly tokens: readonly AccessToken[] | null;
  /** Names by which this node is asked, besides IP addresses and localhost; in lower case. */
  readonly hosts: readonly string[];
  readonly isTls: boolean;
}

/** Requests of one address: at once, and one more each. */
const REQUESTS = { burst: 300, refillMs: 10 };
/** Wrong tokens of one address: guessing 2^128 of them takes longer than needed to notice. */
const WRONG_TOKENS = { burst: 20, refillMs: 1_000 };

/** Load balancers have no token, and ask by any name; the answers say nothing but yes or no. */
const OPEN = /^\/(?:livez|readyz|ports\/\d+\/ready)$/;
const LOCAL_ONLY = /^\/v1\/(?:handover(?:\/failed)?|make-way|upgrade)$/;
const READS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

export class Access {
  readonly #rules: () => AccessRules;
  readonly #requests = new AddressBudget(REQUESTS);
  readonly #wrongTokens = new AddressBudget(WRONG_TOKENS);

  constructor(rules: () => AccessRules) {
    this.#rules = rules;
  }

  /** null: it may. @param address of the client, as the socket gives it */
  judge(head: RequestHead, address: string, nowMs: number): Refusal | null {
    if (!this.#requests.take(address, nowMs)) return TOO_MANY;
    const path = pathOf(head);
    const isRead = READS.has(head.method);
    if (isRead && OPEN.test(path)) return null;
    const rules = this.#rules();
    return (
      refuseHost(head, rules) ??
      refuseOrigin(head, rules) ??
      (LOCAL_ONLY.test(path) ? ONLY_LOCAL : null) ??
      this.#refuseToken(head, rules, isRead, address, nowMs)
    );
  }

  #refuseToken(
    head: RequestHead,
    { tokens }: AccessRules,
    isRead: boolean,
    address: string,
    nowMs: number,
  ): Refusal | null {
    if (tokens === null) return isRead ? null : NO_TOKENS;
    const given = head.headers.get("authorization");
    if (given === undefined) return unauthorized("a token is required: Authorization: Bearer TOKEN");
    if (this.#wrongTokens.isEmpty(address, nowMs)) return TOO_MANY;
    const role = roleOf(given, tokens);
    if (role === null) {
      this.#wrongTokens.take(address, nowMs);
      return unauthorized("the token is not valid");
    }
    return isRead || role === "write" ? null : READ_ONLY;
  }
}

const TOO_MANY: Refusal = {
  status: 429,
  error: "too many requests from this address",
  headers: { "retry-after": "1" },
};
const ONLY_LOCAL: Refusal = { status: 403, error: "this is answered on the Unix socket only" };
const READ_ONLY: Refusal = {
  status: 403,
  error: "this token may only read: changes need a read-write token",
};
const NO_TOKENS: Refusal = {
  status: 403,
  error: "changes over TCP need a read-write token: set admin.tokens_file, or use the Unix socket",
};

function unauthorized(error: string): Refusal {
  return { status: 401, error, headers: { "www-authenticate": 'Bearer realm="portmesh"' } };
}

/** Every token is compared, in constant time, so that the time says nothing. */
function roleOf(authorization: string, tokens: readonly AccessToken[]): AccessToken["role"] | null {
  const text = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
  const digest = new Bun.CryptoHasher("sha256").update(text).digest();
  let role: AccessToken["role"] | null = null;
  for (const token of tokens)
    if (timingSafeEqual(digest, Buffer.from(token.digest, "hex")) && role !== "write") role = token.role;
  return role;
}

function refuseHost({ headers, isHttp10 }: RequestHead, { hosts }: AccessRules): Refusal | null {
  const host = headers.get("host");
  if (host === undefined && isHttp10) return null;
  const name = (host ?? "").replace(/:\d{1,5}$/, "").toLowerCase();
  const literal = /^\[(.*)\]$/.exec(name)?.[1] ?? name;
  if (isIP(literal) !== 0 || name === "localhost" || hosts.includes(name)) return null;
  return {
    status: 421,
    error: `the host ${JSON.stringify(name)} is not a name of this node: use an IP address, or add the name to admin.hosts`,
  };
}

/** A browser names the page that a request comes from, other programs do not. */
function refuseOrigin({ method, headers }: RequestHead, { isTls }: AccessRules): Refusal | null {
  const origin = headers.get("origin");
  const own = `${isTls ? "https" : "http"}://${(headers.get("host") ?? "").toLowerCase()}`;
  const site = headers.get("sec-fetch-site") ?? "none";
  const isNavigation = method === "GET" && headers.get("sec-fetch-mode") === "navigate";
  const isForeign = (origin !== undefined && origin.toLowerCase() !== own) || !isOwnSite(site, isNavigation);
  return isForeign ? { status: 403, error: "requests from pages of another origin are refused" } : null;
}

/** Typed, of this origin, or a link that was followed. */
function isOwnSite(site: string, isNavigation: boolean): boolean {
  return site === "none" || site === "same-origin" || isNavigation;
}

function pathOf({ target }: RequestHead): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}
