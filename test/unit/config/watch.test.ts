import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchConfig } from "../../../src/config/index.ts";

/** A file that is whatever the test says, and a timer that ticks when the test says. */
class WatchBench {
  signature: string | null = "s1";
  contents: string | null = "one";
  changes = 0;
  reads = 0;
  #run = async () => {};
  readonly watch = watchConfig({
    path: "unused",
    onChange: () => this.changes++,
    read: {
      signature: async () => this.signature,
      contentHash: () => {
        this.reads++;
        return this.contents;
      },
    },
    timer: {
      every: (_, run) => {
        this.#run = run;
        return { stop: () => {} };
      },
    },
  });

  async tick(count = 1): Promise<number> {
    for (let i = 0; i < count; i++) await this.#run();
    return this.changes;
  }
}

describe("watchConfig", () => {
  test("a file that stays is not reported, and read only once more", async () => {
    const bench = new WatchBench();
    expect(await bench.tick(10)).toBe(0);
    expect(bench.reads).toBe(2);
  });

  test("a change is reported once, when it has settled", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: "s2", contents: "two" });
    expect(await bench.tick()).toBe(0);
    expect(await bench.tick()).toBe(1);
    expect(await bench.tick(5)).toBe(1);
  });

  test("nothing is reported while it is being written", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    bench.contents = "half";
    for (const signature of ["s2", "s3", "s4"]) {
      bench.signature = signature;
      expect(await bench.tick()).toBe(0);
    }
    expect(await bench.tick()).toBe(1);
  });

  test("a change before the first poll is reported", async () => {
    const bench = new WatchBench();
    bench.contents = "two";
    expect(await bench.tick(2)).toBe(1);
  });

  test("touch, and a file replaced by a copy, do nothing", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    bench.signature = "s2";
    expect(await bench.tick(3)).toBe(0);
  });

  test("a file that is gone for a moment", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: null, contents: null });
    expect(await bench.tick(5)).toBe(0);
    Object.assign(bench, { signature: "s2", contents: "one" });
    expect(await bench.tick(3)).toBe(0);
    Object.assign(bench, { signature: "s3", contents: "two" });
    expect(await bench.tick(3)).toBe(1);
  });

  test("contents that cannot be read yet are tried again", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: "s2", contents: null });
    expect(await bench.tick(3)).toBe(0);
    bench.contents = "two";
    expect(await bench.tick()).toBe(1);
  });

  test("a change back and forth is reported both times", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: "s2", contents: "two" });
    await bench.tick(2);
    Object.assign(bench, { signature: "s3", contents: "one" });
    expect(await bench.tick(2)).toBe(2);
  });

  test("nothing is reported after stop", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: "s2", contents: "two" });
    bench.watch.stop();
    expect(await bench.tick(3)).toBe(0);
  });

  test("real files: a Kubernetes volume swaps its ..data link", async () => {
    const folder = mkdtempSync(join(tmpdir(), "portmesh-watch-"));
    for (const version of ["v1", "v2"]) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, "portmesh.toml"), `# ${version}\n`);
    }
    symlinkSync("v1", join(folder, "..data"));
    symlinkSync("..data/portmesh.toml", join(folder, "portmesh.toml"));
    const changed = Promise.withResolvers<void>();
    const watch = watchConfig({ path: join(folder, "portmesh.toml"), onChange: changed.resolve });
    try {
      symlinkSync("v2", join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      await changed.promise; // the deadline is the test's
    } finally {
      watch.stop();
      rmSync(folder, { recursive: true });
    }
  }, 5_000);
});
