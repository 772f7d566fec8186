/** The configuration file as JSON Schema (draft 2020-12), for editors and for checks outside portmesh. */
import { z } from "zod";
import { fileSchema } from "./schema.ts";

export function jsonSchema(): object {
  return z.toJSONSchema(fileSchema, { io: "input", target: "draft-2020-12" });
}
