/** Dates as text; the part down to the second is kept, as most records of a batch share it. */

export class Timestamps {
  #second = Number.NaN;
  #prefix = "";

  /** @param prefixOf the text of a date down to the second */
  constructor(readonly prefixOf: (date: Date) => string) {}

  /** "<prefix>.123" @param ms since 1970 */
  text(ms: number): string {
    const whole = Math.floor(ms);
    const second = Math.floor(whole / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = this.prefixOf(new Date(whole));
    }
    const milli = whole - second * 1000;
    return `${this.#prefix}.${milli < 100 ? (milli < 10 ? "00" : "0") : ""}${milli}`;
  }
}

/** "2026-11-28T09:30:00", in UTC */
export function isoSecond(date: Date): string {
  return date.toISOString().slice(0, 19);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "28/Nov/2026:09:30:00", in local time, as HAProxy's %t */
export function haproxySecond(date: Date): string {
  return `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}:${clockTime(date)}`;
}

/** "09:30:00", in local time */
export function clockTime(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
