/**
 * Serf agents among themselves: the control of the tests in which portmesh nodes take some of their places. What does
 * not happen here does not prove anything there.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { loopbackSubnet, newKey } from "../support/cluster/mesh-cluster.ts";
import { SerfAgent } from "../support/gossip/serf-agent.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const LABEL = "serf-alone";
const agents: SerfAgent[] = [];

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.remove(LABEL)));
});

async function startThree(key?: string): Promise<[SerfAgent, SerfAgent, SerfAgent]> {
  const subnet = loopbackSubnet();
  for (const index of [1, 2, 3]) {
    agents.push(
      await SerfAgent.start({
        name: `s${index}`,
        address: `${subnet}.${index}`,
        profile: "local",
        tags: { role: `r${index}` },
        ...(key !== undefined && { key }),
      }),
    );
  }
  const [first, ...others] = agents as [SerfAgent, SerfAgent, SerfAgent];
  for (const other of others) await other.join(first.address);
  await Promise.all(agents.map((agent) => agent.waitForAlive(["s1", "s2", "s3"])));
  return agents as [SerfAgent, SerfAgent, SerfAgent];
}

describe.skipIf(lacks("serf"))("serf agents alone", () => {
  for (const key of [undefined, newKey()]) {
    test(`${key ? "encrypted" : "plain"}: join, tags, events, queries`, async () => {
      const [first, second, third] = await startThree(key);
      expect((await first.info()).encrypted).toBe(String(key !== undefined));
      const seen = (await first.members()).find((member) => member.name === "s3")!;
      expect(seen).toMatchObject({ tags: { role: "r3" }, addr: `${third.address}:7946` });
      await first.event("deploy", "v1");
      await waitFor(() => third.events.includes("deploy:v1"), { what: "the event" });
      const answer = await second.query("who", "", { timeoutSeconds: 1 });
      expect(Object.keys(answer.Responses).sort()).toEqual(["s1", "s2", "s3"]);
    });
  }

  test("a crash is failed, coming back is alive, leave is left", async () => {
    const [first, second, third] = await startThree();
    await third.kill();
    await first.waitForStatus("s3", "failed");
    await third.restart();
    await third.join(first.address);
    await first.waitForStatus("s3", "alive");
    await second.leave(); // last: those who have left confirm no suspicion, and it takes the longest possible then
    await first.waitForStatus("s2", "left");
  });
});
