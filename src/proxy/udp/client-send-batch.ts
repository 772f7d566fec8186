/** Replies sent to the clients of a listener, those of one session as one segmented datagram where their lengths allow. */
import type { Arena } from "../../sys/arena.ts";
import { EAGAIN, EMSGSIZE, ENOBUFS } from "../../sys/errno.ts";
import { SendBatch } from "../../sys/mmsg.ts";
import { S_UDP_BYTES_OUT, S_UDP_DATAGRAMS_OUT } from "../table/counters.ts";
import type { Rules } from "../table/route.ts";
import type { KeyLayout } from "./client-key.ts";
import type { ReplyBatch } from "./return-path.ts";
import { isUnsegmentable } from "./send-errors.ts";
import type { UdpSession } from "./session.ts";

export class ClientSendBatch {
  readonly #batch: SendBatch;

  constructor(memory: Arena, size: number) {
    this.#batch = new SendBatch(memory, size, true);
  }

  /** Sends replies first…end, all of sessions of the listener with this socket. */
  send(
    fd: number,
    layout: KeyLayout,
    rules: Rules,
    replies: ReplyBatch<UdpSession>,
    first: number,
    end: number,
  ): void {
    const batch = this.#batch;
    for (let at = first; at < end; ) {
      this.#fill(layout, replies, at, end);
      const sent = batch.send(fd, 0, batch.messages);
      if (sent > 0) {
        const datagrams = batch.datagramsIn(0, sent);
        rules.count(S_UDP_DATAGRAMS_OUT, datagrams);
        rules.count(S_UDP_BYTES_OUT, batch.payloadBytesIn(0, sent));
        at += datagrams;
      } else if (batch.datagramsIn(0, 1) > 1 && isUnsegmentable(-sent)) {
        replies.session(at).canSegmentReplies = false;
      } else if (sent === -EAGAIN || sent === -ENOBUFS) {
        return rules.refuseUdp("send-failed", end - at);
      } else {
        const datagrams = batch.datagramsIn(0, 1);
        rules.refuseUdp(sent === -EMSGSIZE ? "too-long" : "send-failed", datagrams);
        at += datagrams;
      }
    }
  }

  #fill(layout: KeyLayout, replies: ReplyBatch<UdpSession>, first: number, end: number): void {
    const batch = this.#batch;
    let before: UdpSession | null = null;
    batch.clear();
    for (let index = first; index < end; index++) {
      const session = replies.session(index);
      const mayJoin = session === before && session.canSegmentReplies;
      const isJoined = batch.add(replies.payloadAt(index), replies.length(index), 0, 0, mayJoin);
      if (!isJoined) layout.writeDestination(session.key, batch, batch.messages - 1);
      before = session;
    }
  }
}
