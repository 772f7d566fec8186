/** One after the other: what the tests of one cluster do with it, while those of other clusters run beside them. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs this when everything before it is over, whether or not it failed. */
  take<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
