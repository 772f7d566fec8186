/** HAProxy in front of nodes, configured as the recipe for operators has it. */
import { readFileSync } from "node:fs";

const RECIPE = "config/recipes/haproxy.cfg";

/**
 * @param front port on loopback
 * @param servers "192.0.2.11:8080"
 * @param changes other text for what a line of the recipe says
 */
export function haproxyFrontConfig(
  front: number,
  servers: readonly string[],
  changes: Readonly<Record<string, string>> = {},
): string {
  const lines = servers.map((server, index) => `   server node${index + 1} ${server} check\n`);
  const recipe = readFileSync(RECIPE, "utf8").replace(/(?:^ +server .*\n)+/m, lines.join(""));
  return Object.entries({ "bind *:80": `bind 127.0.0.1:${front}`, ...changes }).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`${RECIPE} does not say "${from}"`);
    return text.replace(from, to);
  }, recipe);
}
