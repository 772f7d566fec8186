/**
 * A Debian in a directory, booted: systemd is the first process of a PID namespace, on a machine of a test network. It
 * has mounts, a host name, and a control group of its own, and ends with close() or with the test process, whose pipe
 * the guard outside reads.
 */
import { readFileSync } from "node:fs";
import type { NetworkNode } from "../network/network-node.ts";
import { waitFor } from "../time/wait-for.ts";
import type { ChrootResult, DebianRoot } from "./debian-root.ts";

/** systemd needs control groups of version 2 to see its processes, and no controller. */
const GUARD = `set -e
mount -t tmpfs tmpfs /mnt
mount -t cgroup2 cgroup2 /mnt
group=/mnt/portmesh-test-$$
mkdir $group
export ROOT="$1" NAME="$2"
sh -c 'echo $$ > '$group'/cgroup.procs; exec "$@"' sh \\
  unshare --mount --uts --ipc --pid --cgroup --fork --kill-child sh -c "$3" < /dev/null > /dev/null &
echo $!
cat > /dev/null
kill -KILL $!
wait || :
for tries in $(seq 100); do
  find $group -depth -type d -exec rmdir {} + 2> /dev/null && break
  sleep 0.05
done`;

/** As container engines do it: what belongs to the kernel of the whole machine is out of reach. */
const FIRST_PROCESS = `set -e
hostname "$NAME"
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $place; done
chmod 1777 tmp
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p /run/old run/old
pivot_root . run/old
exec setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-sys_boot,-syslog,-audit_control,-audit_read \\
  env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  sh -c 'umount -l /run/old && exec /lib/systemd/systemd'`;

const ENVIRONMENT = [
  "env",
  "-i",
  "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "DEBIAN_FRONTEND=noninteractive",
];
const BOOT_MS = 120_000;

export class SystemdMachine implements AsyncDisposable {
  readonly #enter: readonly string[];

  private constructor(
    readonly root: DebianRoot,
    readonly node: NetworkNode,
    readonly guard: Bun.Subprocess<"pipe", "pipe", "inherit">,
    pid: number,
  ) {
    const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"];
    this.#enter = ["nsenter", `--target=${pid}`, ...namespaces];
  }

  /** @param root with the package systemd */
  static async boot(root: DebianRoot, node: NetworkNode): Promise<SystemdMachine> {
    const network = ["nsenter", `--net=/run/netns/${node.namespace}`, "unshare", "--mount"];
    const guard = Bun.spawn([...network, "sh", "-c", GUARD, "sh", root.path, node.name, FIRST_PROCESS], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { value } = await guard.stdout.getReader().read();
    const unshare = Number(new TextDecoder().decode(value));
    const pid = await waitFor(() => childOf(unshare), { what: "the first process" });
    const machine = new SystemdMachine(root, node, guard, pid);
    try {
      const hasBooted = async () =>
        (await machine.run("systemctl", "is-active", "multi-user.target")).output === "active\n";
      await waitFor(hasBooted, { what: "systemd to boot", deadlineMs: BOOT_MS });
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  /** A command as root, to its end. */
  async run(...command: readonly string[]): Promise<ChrootResult> {
    const child = Bun.spawn([...this.#enter, ...ENVIRONMENT, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { exitCode: await child.exited, output: stdout + stderr };
  }

  /** Throws when the command fails. */
  async succeed(...command: readonly string[]): Promise<string> {
    const { exitCode, output } = await this.run(...command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${output}`);
    return output;
  }

  /** A property of a unit: "MainPID". */
  async property(unit: string, name: string): Promise<string> {
    return (await this.succeed("systemctl", "show", unit, "--value", "--property", name)).trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.guard.stdin.end();
    await this.guard.exited;
  }
}

/** null: not yet. */
function childOf(pid: number): number | null {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? null : Number(children.split(" ")[0]);
}
