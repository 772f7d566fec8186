/** The seed of a test's random numbers: from the environment to repeat a run, else a new one. It is printed. */
import { seededRandom } from "./seeded-random.ts";

export class Seeded {
  /** In [0, 1). */
  readonly random: () => number;

  constructor(readonly seed: number) {
    this.random = seededRandom(seed);
  }

  static fromEnvironment(): Seeded {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32);
    console.log(`SEED=${seed}`);
    return new Seeded(seed);
  }

  /** Numbers of their own for one of several that run at once: their order does not depend on the others. */
  fork(index: number): Seeded {
    return new Seeded(Math.imul(this.seed ^ index, 0x9e3779b1) + index);
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
