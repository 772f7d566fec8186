/** Runs of a simulation with seeds of their own. SIM_SEED repeats them; one that fails says its seed. */
import { Seeded } from "./seed.ts";

export function simSeeds(): (count: number, run: (random: Seeded) => void) => void {
  const seeded = new Seeded(Number(process.env.SIM_SEED ?? Date.now() % 2 ** 32));
  return (count, run) => {
    for (let index = 0; index < count; index++) {
      try {
        run(seeded.fork(index));
      } catch (error) {
        console.error(`SIM_SEED=${seeded.seed} fails in run ${index}`);
        throw error;
      }
    }
  };
}
