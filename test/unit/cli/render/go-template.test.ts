import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CommandFailure, EXIT_WRONG } from "../../../../src/cli/invocation.ts";
import { parseTemplate } from "../../../../src/cli/render/go-template.ts";

const value = {
  Name: "my-web",
  Count: 2,
  IsOn: true,
  Nothing: null,
  Ports: [
    { Published: 8080, Target: 80 },
    { Published: 9090, Target: 90 },
  ],
  Spec: { Name: "inner", Labels: { a: "<b>" }, None: [] },
};

function show(template: string): string {
  return parseTemplate(template)(value);
}

describe("shown", () => {
  test.each([
    ["", ""],
    ["plain } text", "plain } text"],
    ["{{.Name}}", "my-web"],
    ["{{ .Spec.Name }}!", "inner!"],
    ["{{.Count}} {{.IsOn}} {{.Nothing}}", "2 true <no value>"],
    ["{{json .Ports}}", '[{"Published":8080,"Target":80},{"Published":9090,"Target":90}]'],
    ["{{json .Spec.Labels}}", '{"a":"<b>"}'],
    ["{{json .Name}}{{json .Nothing}}", '"my-web"null'],
    ["{{.Spec.Name | json}}", '"inner"'],
    ["{{.Ports | json | len}}", "63"],
    ["{{len .Ports}}/{{len .Name}}/{{len .Spec}}", "2/6/3"],
    ["{{range .Ports}}{{.Published}}->{{.Target}} {{end}}", "8080->80 9090->90 "],
    ["{{range .Ports}}{{println .Published}}{{end}}", "8080\n9090\n"],
    ["{{range .Ports}}{{$.Name}}:{{.Target}},{{end}}", "my-web:80,my-web:90,"],
    ["{{range .Ports}}{{range $.Ports}}x{{end}};{{end}}", "xx;xx;"],
    ["{{range .Ports}}{{json .}}{{end}}", '{"Published":8080,"Target":80}{"Published":9090,"Target":90}'],
    ["{{range .Spec.None}}x{{end}}{{range .Nothing}}x{{end}}", ""],
    ['{{println "a b" .Count `c`}}', "a b 2 c\n"],
    ['{{"\\t"}}{{println}}', "\t\n"],
    ["a  {{- .Count -}}  b", "a2b"],
    ["{{json $.Count}}", "2"],
  ])("%s", (template, text) => expect(show(template)).toBe(text));
});

describe("refused by name", () => {
  test.each([
    ["{{.Name", "{{.Name: }} is missing"],
    ["{{.Nope}}", "{{.Nope}}: no field Nope; the fields are Name, Count"],
    ["{{.Name.First}}", '{{.Name.First}}: no field First in "my-web"'],
    ["{{.Nothing.More}}", "no field More in null"],
    ["{{.Ports}}", "{{.Ports}}: it is a list: show it with {{json …}}"],
    ["{{.}}", "{{.}}: it is a table"],
    ["{{println .Spec}}", "it is a table"],
    ["{{if .IsOn}}x{{end}}", '{{if .IsOn}}: unknown function "if"'],
    ["{{upper .Name}}", '{{upper .Name}}: unknown function "upper"'],
    ["{{index .Ports 0}}", 'is neither a .Path, a "text" nor one of json, len, println'],
    ["{{$x := .Name}}", "{{$x := .Name}}"],
    ["{{range .Name}}x{{end}}", "range needs a list"],
    ["{{range .Ports}}x", "{{range .Ports}}: {{end}} is missing"],
    ["{{end}}", "{{end}}: there is nothing to end"],
    ["{{range .Ports}}{{else}}{{end}}", "{{else}}"],
    ["{{json}}", "json takes one value"],
    ["{{json .Name .Count}}", "json takes one value"],
    ["{{len .Count}}", "only strings, lists and objects have a length"],
    ["{{}}", "it is empty"],
    ["{{/* words */}}", "{{/* words */}}"],
    ["{{template 1}}", "{{template 1}}"],
    ['{{.Name"}}', '{{.Name"}}: " is not a string'],
    ["{{println `}}", '"`" is neither'],
    ["{{.Name | }}", "{{.Name |}}"],
  ])("%s", (template, message) => {
    let failure: unknown;
    try {
      show(template);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(CommandFailure);
    expect((failure as CommandFailure).exitCode).toBe(EXIT_WRONG);
    expect((failure as CommandFailure).message).toStartWith("--format: cannot show ");
    expect((failure as CommandFailure).message).toContain(message);
  });
});

test("whatever is typed is shown or refused, and text alone is shown as it is", () => {
  const parts = fc.constantFrom(
    "{{",
    "}}",
    ".",
    "Ports",
    "range ",
    "end",
    "json ",
    "|",
    '"',
    "$",
    " ",
    "-",
    "x",
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), (words) => {
      const template = words.join("");
      try {
        const shown = show(template);
        if (!template.includes("{{")) expect(shown).toBe(template);
      } catch (error) {
        expect(error).toBeInstanceOf(CommandFailure);
      }
    }),
  );
});
