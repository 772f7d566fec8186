import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeTags, encodeTags } from "../../../../src/wire/gossip/index.ts";
import { hex, latin1, WEB_TAGS } from "../../../support/gossip/gossip-vectors.ts";

describe("tags", () => {
  test("as a serf agent writes them", () => {
    expect(encodeTags({ role: "web" })).toEqual(WEB_TAGS);
    expect(decodeTags(WEB_TAGS)).toEqual({ role: "web" });
    expect(encodeTags({}).toHex()).toBe("ff80");
    expect(decodeTags(hex("ff80"))).toEqual({});
  });

  test("are the same bytes whatever their order", () => {
    expect(encodeTags({ b: "1", a: "2", "": "3" }).toHex()).toBe("ff83a0a133a161a132a162a131");
    expect(encodeTags({ "": "3", a: "2", b: "1" })).toEqual(encodeTags({ b: "1", a: "2", "": "3" }));
  });

  test("meta without the magic byte is the role", () => {
    expect(decodeTags(latin1("db"))).toEqual({ role: "db" });
    expect(decodeTags(new Uint8Array())).toEqual({ role: "" });
  });

  test("round trip, with any well-formed text and more than 15 of them", () => {
    const text = fc.string({ unit: "binary", maxLength: 50 }).filter((value) => value.isWellFormed());
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 30 }), (tags) =>
        expect({ ...decodeTags(encodeTags(tags)) }).toEqual({ ...tags }),
      ),
    );
  });

  test("no key is special", () => {
    const tags = decodeTags(encodeTags(JSON.parse('{"__proto__": "x", "constructor": "y"}')));
    expect(Object.entries(tags)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    expect(decodeTags(WEB_TAGS).constructor).toBeUndefined();
    expect(decodeTags(WEB_TAGS).toString).toBeUndefined();
  });

  test.each(["ff", "ff81", "ff82a161a162", "ff81a16101", "ffa0", "ffdfffffffff"])("damaged: %s", (meta) => {
    expect(decodeTags(hex(meta))).toEqual({});
  });
});
