/**
 * An image for several platforms as one file: an OCI image layout, with a manifest.json beside its index for
 * `docker load` of engines that know docker-archive only. The manifests are of Docker's media types, because podman
 * ignores a HEALTHCHECK in those of OCI. [OCI image layout, docker image spec v1.2]
 */
import { digestOf, type Layer, type LayerEntry, makeTar } from "./layer.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG = "application/vnd.docker.container.image.v1+json";
const LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip";

export interface PlatformImage {
  readonly architecture: string;
  readonly layer: Layer;
}

export interface ImageDescription {
  /** "portmesh" */
  readonly name: string;
  readonly tag: string;
  /** The `config` of an image's configuration: what a container is started with. */
  readonly config: object;
  readonly created: Date;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export async function makeArchive(
  description: ImageDescription,
  images: readonly PlatformImage[],
): Promise<Uint8Array> {
  const { name, tag, created } = description;
  const blobs = new Map<string, Uint8Array>();
  const add = (mediaType: string, content: Uint8Array): Descriptor => {
    const digest = digestOf(content);
    blobs.set(digest, content);
    return { mediaType, digest, size: content.byteLength };
  };
  const parts = images.map(({ architecture, layer }) => {
    const config = add(CONFIG, json(configOf(description, architecture, layer)));
    const layers = [add(LAYER, layer.compressed)];
    const manifest = add(MANIFEST, json({ schemaVersion: 2, mediaType: MANIFEST, config, layers }));
    return { architecture, config, layers, manifest };
  });
  const platforms = parts.map(({ architecture, manifest }) => ({
    ...manifest,
    platform: { architecture, os: "linux" },
  }));
  const index = add(INDEX, json({ schemaVersion: 2, mediaType: INDEX, manifests: platforms }));
  const names = { "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": `${name}:${tag}` };
  const forDocker = parts.map(({ architecture, config, layers }) => ({
    Config: blobPath(config.digest),
    RepoTags: [`${name}:${tag}-${architecture}`],
    Layers: layers.map(({ digest }) => blobPath(digest)),
  }));
  const top = { schemaVersion: 2, mediaType: INDEX, manifests: [{ ...index, annotations: names }] };
  return makeTar(
    [
      file("oci-layout", json({ imageLayoutVersion: "1.0.0" })),
      file("index.json", json(top)),
      file("manifest.json", json(forDocker)),
      ...[...blobs].map(([digest, content]) => file(blobPath(digest), content)),
    ],
    created,
  );
}

function configOf({ config, created }: ImageDescription, architecture: string, { diffId }: Layer): object {
  const at = created.toISOString();
  return {
    architecture,
    os: "linux",
    created: at,
    config,
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created: at, created_by: "build/image.ts" }],
  };
}

/** "blobs/sha256/0123…" */
function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function file(path: string, content: Uint8Array): LayerEntry {
  return { path: `/${path}`, mode: 0o644, owner: 0, content };
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
