import { describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchConfig } from "../../../src/config/index.ts";
import { tempDir } from "../../support/os/temp-dir.ts";
import { waitFor } from "../../support/time/wait-for.ts";

/** A file that is whatever the test says, and a timer that ticks when the test says. */
class WatchBench {
  signature: string | null = "s1";
  contents: string | null = "one";
  trouble = "ENOENT";
  isRefused = false;
  changes = 0;
  reads = 0;
  #run = async () => {};
  readonly watch = watchConfig({
    paths: () => ["unused"],
    onChange: () => this.changes++,
    isRefused: () => this.isRefused,
    read: {
      signature: async () => this.signature,
      state: () => {
        this.reads++;
        return this.contents === null ? { trouble: this.trouble } : { hash: this.contents };
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

  test("a change is reported once, when the file is stable", async () => {
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

  test("a file that stays away is reported once, and when it is back, also with the same contents", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: null, contents: null });
    expect(await bench.tick(6)).toBe(0);
    expect(await bench.tick(20)).toBe(1);
    Object.assign(bench, { signature: "s1", contents: "one" });
    expect(await bench.tick(20)).toBe(2);
  });

  test("after a refused reload known contents are reported when they are saved again, and only then", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    bench.isRefused = true; // a reload by command has met the file half written
    expect(await bench.tick(5)).toBe(0);
    bench.signature = "s2";
    expect(await bench.tick(5)).toBe(1);
    Object.assign(bench, { signature: null, contents: null });
    await bench.tick(3);
    Object.assign(bench, { signature: "s3", contents: "one" });
    expect(await bench.tick(5)).toBe(2);
  });

  test("what stays unreadable is reported once, and again when the reason is another", async () => {
    const bench = new WatchBench();
    await bench.tick(2);
    Object.assign(bench, { signature: "s2", contents: null, trouble: "EACCES" });
    expect(await bench.tick(20)).toBe(1);
    Object.assign(bench, { signature: "s3", trouble: "not-regular" });
    expect(await bench.tick(20)).toBe(2);
    bench.contents = "two"; // readable without another signature: an error of the network file system is over
    expect(await bench.tick(20)).toBe(3);
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
    const watch = watchConfig({
      paths: () => [join(folder, "portmesh.toml")],
      onChange: changed.resolve,
      timer: fastTimer,
    });
    try {
      symlinkSync("v2", join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      await changed.promise; // the deadline is the test's
    } finally {
      watch.stop();
      rmSync(folder, { recursive: true });
    }
  }, 5_000);

  /** Swaps the contents of `path` by `change` once the watch has seen the old ones, and waits for the report. */
  async function seesChange(path: string, change: () => void): Promise<void> {
    const changed = Promise.withResolvers<void>();
    const watch = watchConfig({ paths: () => [path], onChange: changed.resolve, timer: fastTimer });
    try {
      await Bun.sleep(0);
      change();
      await changed.promise; // the deadline is the test's
    } finally {
      watch.stop();
    }
  }

  const fastTimer = {
    every: (_: number, run: () => Promise<void>) => {
      const timer = setInterval(run, 5);
      return { stop: () => clearInterval(timer) };
    },
  };

  /** As `rsync --inplace -t` from a source whose time is the old one. */
  function rewriteInPlace(path: string, text: string): void {
    const { atime, mtime } = statSync(path);
    const file = openSync(path, "r+");
    writeSync(file, text);
    closeSync(file);
    utimesSync(path, atime, mtime);
  }

  test("real files: rewritten in place with the same length and time", async () => {
    using dir = tempDir();
    const path = dir.file("portmesh.toml");
    writeFileSync(path, "# one\n");
    utimesSync(path, 1_000_000_000, 1_000_000_000);
    await seesChange(path, () => rewriteInPlace(path, "# two\n"));
    expect(statSync(path).mtimeMs).toBe(1_000_000_000_000);
  }, 5_000);

  test("real files: replaced by another of the same length and time", async () => {
    using dir = tempDir();
    const [path, other] = [dir.file("portmesh.toml"), dir.file("other")];
    for (const [name, text] of [
      [path, "# one\n"],
      [other, "# two\n"],
    ] as const) {
      writeFileSync(name, text);
      utimesSync(name, 1_000_000_000, 1_000_000_000);
    }
    await seesChange(path, () => renameSync(other, path));
  }, 5_000);

  test("real files: deleted, and replaced by what is no file", async () => {
    using dir = tempDir();
    const path = dir.file("portmesh.toml");
    writeFileSync(path, "# one\n");
    await seesChange(path, () => rmSync(path));
    await seesChange(path, () => mkdirSync(path));
    await seesChange(path, () => {
      rmSync(path, { recursive: true });
      Bun.spawnSync(["mkfifo", path]);
    });
    await seesChange(path, () => {
      rmSync(path);
      symlinkSync("/dev/zero", path);
    });
    await seesChange(path, () => {
      rmSync(path);
      writeFileSync(path, "# one\n");
    });
  }, 10_000);

  test("real files: of several a change of each, and another list", async () => {
    using dir = tempDir();
    const [path, keys, other] = [dir.file("portmesh.toml"), dir.file("keys"), dir.file("other")];
    for (const name of [path, keys, other]) writeFileSync(name, "# one\n");
    let paths = [path, keys];
    let changes = 0;
    const watch = watchConfig({ paths: () => paths, onChange: () => changes++, timer: fastTimer });
    const sees = async (change: () => void) => {
      const before = changes;
      change();
      await waitFor(async () => changes > before, { what: "the change" });
    };
    try {
      await sees(() => writeFileSync(keys, "# two\n"));
      await sees(() => writeFileSync(path, "# two\n"));
      await sees(() => rmSync(keys));
      await sees(() => {
        paths = [path, other];
      });
      await sees(() => writeFileSync(other, "# three\n"));
    } finally {
      watch.stop();
    }
  }, 10_000);
});
