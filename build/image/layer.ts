/** A layer of an image: files and directories as a tar archive with the same bytes at every build. [OCI image layer] */
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";

export interface LayerEntry {
  /** Absolute. */
  readonly path: string;
  readonly mode: number;
  /** User and group. */
  readonly owner: number;
  /** null: a directory. */
  readonly content: Uint8Array | null;
}

export interface Layer {
  readonly compressed: Uint8Array;
  /** Of the archive before compression, as config.rootfs names it. */
  readonly diffId: string;
}

/** Directories above the entries are added, root's and readable by all. @param time of every entry */
export async function makeLayer(entries: readonly LayerEntry[], time: Date): Promise<Layer> {
  const archive = await makeTar([...parentsOf(entries), ...entries], time);
  return { compressed: gzipSync(archive), diffId: digestOf(archive) };
}

/** In the order of their paths. */
export async function makeTar(entries: readonly LayerEntry[], time: Date): Promise<Uint8Array> {
  const tar = pack();
  for (const { path, mode, owner, content } of entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const type = content === null ? "directory" : "file";
    const header = { name: path.slice(1), type, mode, uid: owner, gid: owner, mtime: time } as const;
    if (content === null) tar.entry(header);
    else tar.entry(header, Buffer.from(content));
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

function parentsOf(entries: readonly LayerEntry[]): LayerEntry[] {
  const given = new Set(entries.map(({ path }) => path));
  const parents = new Set(entries.flatMap(({ path }) => pathsAbove(path)).filter((path) => !given.has(path)));
  return [...parents].map((path) => ({ path, mode: 0o755, owner: 0, content: null }));
}

/** "/usr", "/usr/bin" of "/usr/bin/portmesh" */
function pathsAbove(path: string): string[] {
  const steps = path.split("/").slice(1, -1);
  return steps.map((_, index) => `/${steps.slice(0, index + 1).join("/")}`);
}
