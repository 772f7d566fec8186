import { expect, test } from "bun:test";
import { refuseNewClients } from "../../../src/sys/socket.ts";
import { RawListener, RawSocket } from "../../support/os/raw-socket.ts";

test("refuseNewClients keeps queued clients and refuses later ones", async () => {
  const listener = RawListener.open();
  const early = await RawSocket.connect(listener.port);
  expect(refuseNewClients(listener.fd)).toBe(0);
  await expect(RawSocket.connect(listener.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  const served = await listener.accept();
  await early.send("ping");
  expect(await served.receiveText(4)).toBe("ping");
  for (const end of [early, served, listener]) end.close();
});
