/** The time that stands in everything built: SOURCE_DATE_EPOCH, else that of the commit. In seconds. */
export async function readCommitTime(): Promise<number> {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  if (given > 0) return given;
  const git = Bun.spawn(["git", "log", "-1", "--format=%ct"], { stdio: ["ignore", "pipe", "ignore"] });
  const seconds = Number(await git.stdout.text());
  if (seconds > 0) return seconds;
  throw new Error("cannot tell the time of this version: outside a repository SOURCE_DATE_EPOCH must be set");
}
