/**
 * What the runtime has built in, after the list in its documentation (bun-types/docs/project/license.mdx), which does not
 * come with the licences' texts; they are in runtime-licenses. A test compares the names with that list.
 */

export interface RuntimeComponent {
  /** As the runtime's own list has it. */
  readonly name: string;
  /** SPDX expression. */
  readonly license: string;
  /** In runtime-licenses; null: the text is that of the project's own licence, or there is none to give. */
  readonly text: string | null;
  /** Its key in process.versions; null where the runtime does not say which version it has. */
  readonly versionKey: string | null;
}

export const RUNTIME_COMPONENTS: readonly RuntimeComponent[] = [
  { name: "WebKit", license: "LGPL-2.0-or-later", text: "webkit.txt", versionKey: "webkit" },
  { name: "boringssl", license: "Apache-2.0", text: "boringssl.txt", versionKey: "boringssl" },
  { name: "brotli", license: "MIT", text: "brotli.txt", versionKey: null },
  { name: "libarchive", license: "BSD-2-Clause", text: "libarchive.txt", versionKey: "libarchive" },
  { name: "lol-html", license: "BSD-3-Clause", text: "lol-html.txt", versionKey: "lolhtml" },
  { name: "ls-hpack", license: "MIT AND BSD-2-Clause", text: "ls-hpack.txt", versionKey: "lshpack" },
  { name: "ls-qpack", license: "MIT", text: "ls-qpack.txt", versionKey: null },
  { name: "lsquic", license: "MIT AND BSD-3-Clause", text: "lsquic.txt", versionKey: null },
  { name: "mimalloc", license: "MIT", text: "mimalloc.txt", versionKey: "mimalloc" },
  { name: "picohttp", license: "MIT", text: "picohttpparser.txt", versionKey: "picohttpparser" },
  { name: "llhttp", license: "MIT", text: "llhttp.txt", versionKey: "llhttp" },
  { name: "zstd", license: "BSD-3-Clause", text: "zstd.txt", versionKey: "zstd" },
  { name: "simdutf", license: "MIT", text: "simdutf.txt", versionKey: null },
  { name: "tinycc", license: "LGPL-2.1-or-later", text: "tinycc.txt", versionKey: "tinycc" },
  { name: "uSockets", license: "Apache-2.0", text: null, versionKey: "usockets" },
  { name: "uWebsockets", license: "Apache-2.0", text: null, versionKey: "uwebsockets" },
  { name: "zlib-ng", license: "Zlib", text: "zlib-ng.txt", versionKey: "zlib" },
  { name: "c-ares", license: "MIT", text: "c-ares.txt", versionKey: "ares" },
  { name: "libicu", license: "Unicode-3.0", text: "icu.txt", versionKey: "icu" },
  { name: "libbase64", license: "BSD-2-Clause", text: "base64.txt", versionKey: null },
  { name: "libdeflate", license: "MIT", text: "libdeflate.txt", versionKey: "libdeflate" },
  {
    name: "libjpeg-turbo",
    license: "IJG AND BSD-3-Clause AND Zlib",
    text: "libjpeg-turbo.txt",
    versionKey: null,
  },
  { name: "libspng", license: "BSD-2-Clause AND libpng-2.0", text: "libspng.txt", versionKey: null },
  { name: "libwebp", license: "BSD-3-Clause", text: "libwebp.txt", versionKey: null },
  { name: "highway", license: "Apache-2.0 OR BSD-3-Clause", text: "highway.txt", versionKey: null },
  { name: "HdrHistogram_c", license: "CC0-1.0 OR BSD-2-Clause", text: null, versionKey: null },
  { name: "sqlite", license: "blessing", text: null, versionKey: "sqlite" },
  { name: "esbuild", license: "MIT", text: "esbuild.txt", versionKey: null },
  { name: "acorn", license: "MIT", text: "acorn.txt", versionKey: null },
];
