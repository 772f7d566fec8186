/**
 * Silence on published TCP ports whose tasks run on another node: how long it may last, with real sockets on loopback.
 *
 *   clients ──▶ entry node, published port ──▶ relay port of the exit node ──▶ its task
 *                    127.0.0.1                        127.0.0.2
 */
import { describe, expect, test } from "bun:test";
import { Pattern } from "../support/load/pattern.ts";
import { allClosed, startPair } from "../support/relay/relay-mesh.ts";
import { MODES } from "../support/relay/relay-node.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  test.concurrent("a reader that stops for long, and the node between that it holds up, are no reason to end", async () => {
    await using pair = await startPair({}, { isSealed });
    const { open, entry, exit } = pair;
    const bothWays = [await open(), await open()] as const;
    const ways = [
      { from: bothWays[0].client, to: bothWays[0].task },
      { from: bothWays[1].task, to: bothWays[1].client },
    ];
    const silenceMs = 12_000; // longer than a node may fail to answer
    await Promise.all(
      ways.map(async ({ from, to }, index) => {
        const pattern = new Pattern(index);
        await pattern.sendUntilStalled(from, silenceMs);
        const sent = pattern.sentBytes;
        from.finish();
        expect(await pattern.receiveToEnd(to)).toEqual({ bytes: sent, how: "end" });
      }),
    );
    expect([entry.status.tcp.openConnections, exit.status.tcp.relayedOpen]).toEqual([2, 2]);
  }, 60_000);

  describe("idle_timeout holds between nodes", () => {
    /** Shorter and longer than the time between two looks at the other node. */
    const timeouts = [150, 6_000];

    test.concurrent.each(timeouts)(
      "%d ms of silence end a connection with a reset",
      async (idleTimeoutMs) => {
        await using pair = await startPair({ idleTimeoutMs }, { isSealed });
        const { open, entry, exit } = pair;
        const { client, task } = await open();
        await task.send("banner");
        expect(await client.receiveText(6)).toBe("banner");
        const endings = [client, task].map((end) => end.receiveRest().catch((error) => error.code));
        expect(await Promise.all(endings)).toEqual(["ECONNRESET", "ECONNRESET"]);
        await allClosed(entry, exit);
        // both nodes count to the same time; the other one may hear of the end first
        expect(entry.refused("idle") + exit.refused("idle")).toBeGreaterThan(0);
      },
      60_000,
    );

    test.concurrent("a byte now and then keeps a connection, in either direction", async () => {
      const idleTimeoutMs = 6_000;
      await using pair = await startPair({ idleTimeoutMs }, { isSealed });
      const { open, entry, exit } = pair;
      const ends = [await open(), await open()] as const;
      const startMs = performance.now();
      while (performance.now() - startMs < 1.5 * idleTimeoutMs) {
        await ends[0].client.send("?");
        expect(await ends[0].task.receiveText(1)).toBe("?");
        await ends[1].task.send("!");
        expect(await ends[1].client.receiveText(1)).toBe("!");
        await Bun.sleep(200); // the pace of these two
      }
      expect([entry.status.tcp.openConnections, exit.status.tcp.relayedOpen]).toEqual([2, 2]);
      expect([entry.refused("idle"), exit.refused("idle")]).toEqual([0, 0]);
    }, 60_000);
  });
});
