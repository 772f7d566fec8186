/** Writes config/portmesh.schema.json from the schema the program itself uses; a test tells when it is out of date. */
import { jsonSchema } from "../src/config/index.ts";

await Bun.write("config/portmesh.schema.json", `${JSON.stringify(jsonSchema(), null, 2)}\n`);
