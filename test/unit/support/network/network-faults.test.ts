import { expect, test } from "bun:test";
import {
  incomingRuleset,
  type NetworkFaults,
  NO_FAULTS,
  outgoingRuleset,
} from "../../../support/network/network-faults.ts";

const PEERS = ["10.99.1.2", "10.99.1.3"];

/** The rules of a direction behind those that every ruleset has. */
function rules(faults: NetworkFaults, direction: "in" | "out"): string[] {
  const text = direction === "in" ? incomingRuleset(faults) : outgoingRuleset(faults, "n1");
  const lines = text.slice(text.indexOf(`chain ${direction} {`)).split("\n");
  const end = lines.indexOf("  }");
  return lines.slice(direction === "in" ? 3 : 2, end).map((line) => line.trim());
}

test("no faults are no rules, and take back what there was", () => {
  expect(rules(NO_FAULTS, "in")).toEqual([]);
  expect(rules(NO_FAULTS, "out")).toEqual([]);
  expect(incomingRuleset(NO_FAULTS)).toContain("delete table inet faults\n");
  expect(outgoingRuleset(NO_FAULTS, "n1")).toContain("delete table netdev faults-n1\n");
});

test("a cut drops in its direction only, from and to its peers only", () => {
  const cut = (direction: "in" | "out" | "both", peers: string[]) => ({
    ...NO_FAULTS,
    cuts: [{ direction, peers }],
  });
  expect(rules(cut("in", PEERS), "in")).toEqual(["ip saddr { 10.99.1.2, 10.99.1.3 } drop"]);
  expect(rules(cut("in", PEERS), "out")).toEqual([]);
  expect(rules(cut("out", PEERS), "in")).toEqual([]);
  expect(rules(cut("out", PEERS), "out")).toEqual(["ip daddr { 10.99.1.2, 10.99.1.3 } drop"]);
  expect(rules(cut("both", []), "in")).toEqual(["drop"]);
  expect(rules(cut("both", []), "out")).toEqual(["meta protocol { ip, ip6 } drop"]);
});

test("a cut can be of one protocol", () => {
  const cuts = [{ direction: "both", peers: [], protocol: "udp" }] as const;
  expect(rules({ ...NO_FAULTS, cuts }, "in")).toEqual(["meta l4proto udp drop"]);
  expect(rules({ ...NO_FAULTS, cuts }, "out")).toEqual(["meta protocol { ip, ip6 } meta l4proto udp drop"]);
});

test("loss is of what is received", () => {
  const faults = { ...NO_FAULTS, losses: [{ percent: 5, peers: ["10.99.1.0/25"] }] };
  expect(rules(faults, "in")).toEqual(["ip saddr { 10.99.1.0/25 } numgen random mod 100 < 5 drop"]);
  expect(rules(faults, "out")).toEqual([]);
});

test("longer packets to some peers vanish where the node's cable ends", () => {
  const narrow = (peers: string[]) => ({ ...NO_FAULTS, narrowings: [{ maxBytes: 1280, peers }] });
  expect(rules(narrow(["10.99.1.2"]), "out")).toEqual(["ip daddr { 10.99.1.2 } meta length > 1280 drop"]);
  expect(rules(narrow(["fd98::2"]), "out")).toEqual(["ip6 daddr { fd98::2 } meta length > 1280 drop"]);
  expect(rules(narrow(["10.99.1.2"]), "in")).toEqual([]);
});
