/** "192.0.2.1:80", "[2001:db8::1]:80", "web.internal:80". [RFC 3986 §3.2.2] */
export function formatHostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
