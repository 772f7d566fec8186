import { describe, expect, test } from "bun:test";
import { manualPages } from "../../../build/man/manual-pages.ts";
import { escapeLine, prose } from "../../../build/man/roff.ts";
import schema from "../../../config/portmesh.schema.json" with { type: "json" };
import { createProgram } from "../../../src/cli/command-line.ts";

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node & { readonly anyOf?: readonly Node[] };
}

const PAGES = manualPages({ date: "2026-01-02", version: "1.2.3" });
const COMMAND_PAGE = PAGES["portmesh.1"]!;
const CONFIG_PAGE = PAGES["portmesh.toml.5"]!;

function keysOf(path: string, node: Node): string[] {
  const nested = [node, node.items ?? {}, ...(node.items?.anyOf ?? [])];
  return nested.flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([key, each]) => {
      const name = path === "" ? key : `${path}.${key}`;
      return [name, ...keysOf(name, each)];
    }),
  );
}

describe("portmesh(1)", () => {
  test("has every command and every option that --help has", () => {
    const program = createProgram({ env: {}, print() {}, complain() {}, exitCode: 0, isDaemon: false });
    const help = program.createHelp();
    const commands = [...program.commands, ...program.commands.flatMap((each) => [...each.commands])];
    for (const command of commands.filter((each) => !each.name().startsWith("__"))) {
      const parents = command.parent === program ? "portmesh" : `portmesh ${command.parent!.name()}`;
      expect(COMMAND_PAGE).toContain(`.SS "${parents} ${command.name()}`);
      for (const option of help.visibleOptions(command)) {
        expect(COMMAND_PAGE).toContain(`.B "${escapeLine(option.flags)}"`);
      }
    }
  });

  test("leaves out what is hidden", () => expect(COMMAND_PAGE).not.toContain("__complete"));
});

describe("portmesh.toml(5)", () => {
  test.each(keysOf("", schema as Node).filter((key) => key.includes(".")))(
    "%s has a place and an example",
    (key) => {
      const [, entry] = CONFIG_PAGE.split(`.B "${escapeLine(key)}"\n`);
      expect(entry).toBeDefined();
      const own = entry!.split(/^\.(?:TP|SH)/m)[0]!;
      const isTable = ["services.udp", "services.client_prefix", "services.check"].includes(key);
      if (!isTable) expect(own).toContain(`Example: ${key.split(".").at(-1)} = `);
    },
  );
});

test("no text is taken for a macro or an escape", () => {
  expect(escapeLine(".\\fB-x'")).toBe("\\&.\\efB\\-x\\(aq");
  expect(prose("one\n\n  .two\nNote: three")).toEqual([
    "one",
    ...[".RS 4", ".nf", "\\&.two", ".fi", ".RE"],
    ...[".PP", "Note: three"],
  ]);
});
