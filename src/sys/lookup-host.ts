/**
 * Host name -> addresses, the way every other program of the machine sees it: getaddrinfo, and with it /etc/hosts,
 * nsswitch and search domains. AI_ADDRCONFIG leaves out IPv6 answers on a machine without IPv6.
 */
import { dns } from "bun";

export type HostAnswer =
  /** Sorted and without repetition, so that equal answers are equal lists. */
  | { readonly addresses: readonly string[] }
  /** `isAnswered`: the name is known to have no address; otherwise no name server knew. */
  | { readonly error: string; readonly isAnswered: boolean };
export type LookupHost = (host: string) => Promise<HostAnswer>;

/** NXDOMAIN, or a name without addresses. */
const ABSENT = new Set(["ENOTFOUND", "ENODATA"]);
const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "name not found",
  ENODATA: "the name has no address",
  ETIMEOUT: "no name server answered",
  ESERVFAIL: "the name server failed",
  EREFUSED: "the name server refused",
  ECONNREFUSED: "no name server reachable",
  EAI_AGAIN: "no answer from the name servers",
};

export async function lookupHost(host: string): Promise<HostAnswer> {
  const code = await ask(host, "any");
  if (typeof code !== "string") return code;
  if (!ABSENT.has(code)) return { error: reasonOf(code), isAnswered: false };
  // no address of one family counts as absent, although the server may have failed to answer for the other
  for (const family of ["IPv4", "IPv6"] as const) {
    const second = await ask(host, family);
    if (typeof second !== "string") return second;
    if (!ABSENT.has(second)) return { error: reasonOf(second), isAnswered: false };
  }
  return { error: reasonOf(code), isAnswered: true };
}

/** The answer or an error code. */
async function ask(host: string, family: "any" | "IPv4" | "IPv6"): Promise<{ addresses: string[] } | string> {
  try {
    const answers = await dns.lookup(host, {
      backend: "libc",
      family,
      socketType: "tcp",
      flags: dns.ADDRCONFIG,
    });
    return { addresses: [...new Set(answers.map((answer) => answer.address))].sort() };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === undefined ? message : code.replace(/^DNS_/, "");
  }
}

function reasonOf(code: string): string {
  return REASONS[code] ?? code;
}
