/**
 * Host name -> addresses, the way every other program of the machine sees it: getaddrinfo, and with it /etc/hosts,
 * nsswitch and search domains. AI_ADDRCONFIG leaves out IPv6 answers on a machine without IPv6.
 */
import { dns } from "bun";

/** Sorted and without repetition, so that equal answers are equal lists; or why there is none. */
export type HostAnswer = { readonly addresses: readonly string[] } | { readonly error: string };
export type LookupHost = (host: string) => Promise<HostAnswer>;

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "name not found",
  ENODATA: "the name has no address",
  ETIMEOUT: "no name server answered",
  ESERVFAIL: "the name server failed",
  EREFUSED: "the name server refused",
  ECONNREFUSED: "no name server reachable",
  EAI_AGAIN: "no name server answered",
};

export async function lookupHost(host: string): Promise<HostAnswer> {
  try {
    const answers = await dns.lookup(host, { backend: "libc", socketType: "tcp", flags: dns.ADDRCONFIG });
    return { addresses: [...new Set(answers.map((answer) => answer.address))].sort() };
  } catch (error) {
    return { error: reasonOf(error as NodeJS.ErrnoException) };
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  const code = error.code?.replace(/^DNS_/, "") ?? "";
  return REASONS[code] ?? (code === "" ? error.message : code);
}
