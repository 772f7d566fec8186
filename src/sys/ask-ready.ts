/**
 * Asks a node on its admin socket whether it is ready: one HTTP request with the runtime's own sockets. `portmesh health`
 * runs every few seconds for years, so this imports nothing: loading a client takes longer than the answer.
 */

/** A node that is alive answers in a few milliseconds. */
const TIMEOUT_MS = 5_000;
/** An answer has a few hundred. */
const MAX_ANSWER_BYTES = 65_536;

export type Readiness =
  | { readonly isReady: true }
  /** @param isThere a program listens on the socket */
  | { readonly isReady: false; readonly isThere: boolean; readonly reason: string };

export function askReady(socket: string, timeoutMs = TIMEOUT_MS): Promise<Readiness> {
  return ask(socket, "GET /readyz", timeoutMs);
}

/** Ready: it is stopping, and gives up its admin socket and its state as soon as it can. */
export function askToMakeWay(socket: string): Promise<Readiness> {
  return ask(socket, "POST /v1/make-way", TIMEOUT_MS);
}

async function ask(socket: string, resource: string, timeoutMs: number): Promise<Readiness> {
  const request = `${resource} HTTP/1.1\r\nHost: portmesh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  const { promise, resolve } = Promise.withResolvers<Readiness>();
  const notReady = (isThere: boolean, reason: string) =>
    resolve({ isReady: false, isThere, reason: `${socket}: ${reason}` });
  const timer = setTimeout(() => notReady(true, `no reply within ${timeoutMs / 1000} s`), timeoutMs);
  let answer = "";
  try {
    const connection = await Bun.connect({
      unix: socket,
      socket: {
        open: (opened) => void opened.write(request),
        data: (opened, bytes) => {
          answer += bytes.toString("utf8");
          if (answer.length > MAX_ANSWER_BYTES) opened.terminate();
        },
        close: () => resolve(read(socket, answer)),
        error: (_, error) => notReady(true, error.message),
      },
    });
    const readiness = await promise;
    connection.terminate();
    return readiness;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { isReady: false, isThere: !isAbsent(code), reason: `${socket}: ${code ?? message}` };
  } finally {
    clearTimeout(timer);
  }
}

function isAbsent(code: string | undefined): boolean {
  return code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR" || code === "ENOTSOCK";
}

function read(socket: string, answer: string): Readiness {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
  if (status === "200") return { isReady: true };
  const reason = /"error":"([^"]*)"/.exec(answer)?.[1];
  // a node that ends closes its connections
  if (status === undefined)
    return { isReady: false, isThere: answer !== "", reason: `${socket}: closed without a reply` };
  return { isReady: false, isThere: true, reason: reason ?? `${socket}: status ${status}` };
}
