/**
 * Root directories with the C library of a machine and nothing else, for executables that were built for it.
 *
 * arm64 and CPUs without AVX are emulated by qemu-user, which is copied into the root. Debian has a musl, and no libstdc++
 * for it: the root gets that of glibc, and a small library with the functions of glibc that it calls. That does for
 * tests; a system with musl has its own.
 */
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "../os/require-program.ts";

type Architecture = "x64" | "arm64";

export interface Machine {
  readonly architecture: Architecture;
  readonly isMusl: boolean;
  /** Of x64: a CPU of 2008. */
  readonly hasAvx: boolean;
}

/** Debian's names: of the architecture, of its GNU tools, of the loaders. */
const DEBIAN = {
  x64: { name: "amd64", tools: "x86_64-linux-gnu", qemu: "qemu-x86_64-static", musl: "x86_64" },
  arm64: { name: "arm64", tools: "aarch64-linux-gnu", qemu: "qemu-aarch64-static", musl: "aarch64" },
} as const;
const PACKAGES = ["libc6", "libgcc-s1", "libstdc++6", "musl"];
/** What both runtimes need of glibc. [readelf -d] */
const GLIBC = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"];
const LOADERS = { x64: "lib64/ld-linux-x86-64.so.2", arm64: "lib/ld-linux-aarch64.so.1" } as const;

/** What glibc's libstdc++ and libgcc call and musl lacks: enough to load them. */
const GLUE = {
  x64: `
.text
.globl __strftime_l, _dl_find_object, __cxa_thread_atexit_impl, arc4random, __cpu_indicator_init
__strftime_l: jmp strftime_l@PLT
_dl_find_object: movl $-1, %eax
  ret
__cxa_thread_atexit_impl:
__cpu_indicator_init: xorl %eax, %eax
  ret
arc4random: movl $4, %eax
  ret
.data
.globl __libc_single_threaded, __cpu_model
__libc_single_threaded: .byte 0
__cpu_model: .zero 64
.section .note.GNU-stack,"",%progbits
`,
  arm64: `
.text
.globl __strftime_l, __getauxval, _dl_find_object, __cxa_thread_atexit_impl, arc4random
__strftime_l: b strftime_l
__getauxval: b getauxval
_dl_find_object: mov w0, -1
  ret
__cxa_thread_atexit_impl: mov w0, 0
  ret
arc4random: mov w0, 4
  ret
.data
.globl __libc_single_threaded
__libc_single_threaded: .byte 0
.section .note.GNU-stack,"",%progbits
`,
} as const;

/** Fetches the packages of both architectures, without adding a foreign one to this system. */
export class MachineRoots {
  readonly #directory: string;
  readonly #unpacked = new Map<Architecture, string>();

  /** @param directory everything is made here; the caller removes it */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** A root directory that holds `executable` as /portmesh. */
  make({ architecture, isMusl, hasAvx }: Machine, executable: string): string {
    const root = mkdtempSync(join(this.#directory, "root-"));
    for (const folder of ["proc", "tmp"]) mkdirSync(join(root, folder));
    copyFileSync(executable, join(root, "portmesh"));
    if (isMusl) this.#addMusl(root, architecture);
    else this.#addGlibc(root, architecture);
    if (architecture === "arm64" || !hasAvx) {
      copyFileSync(findProgram(DEBIAN[architecture].qemu)!, join(root, "qemu"));
    }
    return root;
  }

  #addGlibc(root: string, architecture: Architecture): void {
    const packages = this.#unpack(architecture);
    const folder = join("lib", DEBIAN[architecture].tools);
    for (const library of GLIBC) copy(join(packages, folder, library), join(root, folder, library));
    copy(join(packages, folder, LOADERS[architecture].split("/")[1]!), join(root, LOADERS[architecture]));
  }

  #addMusl(root: string, architecture: Architecture): void {
    const packages = this.#unpack(architecture);
    const { tools, musl } = DEBIAN[architecture];
    copy(join(packages, `lib/${musl}-linux-musl/libc.so`), join(root, `lib/ld-musl-${musl}.so.1`));
    copy(join(packages, `usr/lib/${tools}/libstdc++.so.6`), join(root, "usr/lib/libstdc++.so.6"));
    copy(join(packages, `lib/${tools}/libgcc_s.so.1`), join(root, "usr/lib/libgcc_s.so.1"));
    this.#linkGlue(architecture, join(root, "usr/lib/glue.so"));
    // libstdc++ of x64 loads it instead of glibc's loader; on arm64 it is preloaded
    copy(join(root, "usr/lib/glue.so"), join(root, "usr/lib/ld-linux-x86-64.so.2"));
  }

  #linkGlue(architecture: Architecture, library: string): void {
    const source = join(this.#directory, `glue-${architecture}.s`);
    writeFileSync(source, GLUE[architecture]);
    const { tools } = DEBIAN[architecture];
    run([`${tools}-as`, source, "-o", `${source}.o`]);
    run([`${tools}-ld`, "-shared", `${source}.o`, "-o", library]);
  }

  #unpack(architecture: Architecture): string {
    const known = this.#unpacked.get(architecture);
    if (known !== undefined) return known;
    const directory = join(this.#directory, architecture);
    for (const folder of ["state/lists/partial", "cache/archives/partial", "debs", "tree"]) {
      mkdirSync(join(directory, folder), { recursive: true });
    }
    const { name } = DEBIAN[architecture];
    const apt = [
      ...["apt-get", "-qq", "-o", `APT::Architecture=${name}`, "-o", `APT::Architectures=${name}`],
      ...["-o", `Dir::State=${directory}/state`, "-o", "Dir::State::status=/dev/null"],
      ...["-o", `Dir::Cache=${directory}/cache`, "-o", "APT::Sandbox::User=root"],
    ];
    run([...apt, "update"]);
    run([...apt, "download", ...PACKAGES], `${directory}/debs`);
    const tree = join(directory, "tree");
    for (const deb of new Bun.Glob("*.deb").scanSync(`${directory}/debs`)) {
      run(["dpkg-deb", "-x", `${directory}/debs/${deb}`, tree]);
    }
    this.#unpacked.set(architecture, tree);
    return tree;
  }
}

/** Starts /portmesh, or another program, in a root that `MachineRoots` has made, with /proc, without an environment. */
export function commandIn(
  root: string,
  { architecture, isMusl, hasAvx }: Machine,
  args: readonly string[],
  program: readonly string[] = ["/portmesh"],
): string[] {
  const script = 'mount --bind /proc "$0/proc" && exec env -i "$(command -v chroot)" "$0" "$@"';
  const preload = isMusl ? ["-E", "LD_PRELOAD=/usr/lib/glue.so"] : [];
  const emulator =
    architecture === "arm64" ? ["/qemu", ...preload] : hasAvx ? [] : ["/qemu", "-cpu", "Nehalem"];
  return [
    findProgram("unshare")!,
    "--mount",
    "/bin/sh",
    "-c",
    script,
    root,
    ...emulator,
    ...program,
    ...args,
  ];
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(realpathSync(from), to);
}

function run(command: readonly string[], cwd?: string): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], {
    ...(cwd !== undefined && { cwd }),
    stdout: "ignore",
    stderr: "pipe",
  });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
}
