/** Writes src/admin/openapi.json from the routes of the API; a test tells when it is out of date. */
import { clusterApp } from "../../src/admin/index.ts";
import { openApiOf } from "./document.ts";

const document = await openApiOf(clusterApp(() => null, {}));
await Bun.write("src/admin/openapi.json", `${JSON.stringify(document, null, 2)}\n`);
