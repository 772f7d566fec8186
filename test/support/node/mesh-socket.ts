/** A fake mesh behind a real admin socket, and the commands that talk to it. */
import { clusterApp, listenOnSocket } from "../../../src/admin/index.ts";
import { tempDir } from "../os/temp-dir.ts";
import type { FakeMesh } from "./fake-mesh.ts";
import type { CommandResult } from "./node-process.ts";
import { runCommand } from "./run-command.ts";

export interface MeshSocket extends AsyncDisposable {
  run(...argv: string[]): Promise<CommandResult>;
}

export async function meshSocket(mesh: FakeMesh): Promise<MeshSocket> {
  const dir = tempDir();
  const path = dir.file("pm.sock");
  const server = await listenOnSocket(path, clusterApp(() => mesh, { version: "0.1.0" }).fetch);
  return {
    run: (...argv) => runCommand(argv, { PORTMESH_SOCKET: path }),
    async [Symbol.asyncDispose]() {
      await server.close();
      dir[Symbol.dispose]();
    },
  };
}
